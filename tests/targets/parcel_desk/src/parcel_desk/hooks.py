import base64
import hashlib
import hmac
import logging

from flask import Blueprint, current_app, jsonify, request

from parcel_desk import couriers, ledger

hooks = Blueprint("hooks", __name__)
log = logging.getLogger(__name__)

SUBJECTS = {
    "picked_up": "Your parcel is on its way",
    "in_transit": "Your parcel has moved on",
    "delivered": "Your parcel has arrived",
    "failed": "We could not deliver your parcel",
}


def signature_is_valid(secret, header, body):
    parts = dict(part.split("=", 1) for part in header.split(",") if "=" in part)
    signed = parts.get("t", "").encode() + b"." + body
    digest = hmac.new(secret.encode(), signed, hashlib.sha256).digest()
    return base64.b64encode(digest).decode() == parts.get("v1", "")


def mail_text(order, tracking):
    lines = [f"Dear {order['customer_name']},", "", f"last seen: {tracking['location']}", ""]
    lines += [f"{item['quantity']} x {item['title']}" for item in order["items"]]
    return "\n".join(lines)


@hooks.post("/hooks/courier")
def courier_event():
    cfg = current_app.config
    body = request.get_data()
    if not signature_is_valid(cfg["COURIER_SECRET"], request.headers.get("X-Courier-Auth", ""), body):
        return jsonify(error="bad signature"), 401

    try:
        event = request.get_json(force=True)
        log.info("courier event %s", event)
        status = event["status"]
        order = ledger.find_order(cfg["PARCEL_DB"], int(event["order_id"]))
        if order is None:
            return jsonify(error="no such order"), 404

        tracking = couriers.fetch_tracking(cfg["COURIER_API"], event["tracking_no"])
        preferences = couriers.fetch_preferences(cfg["CUSTOMER_API"], order["customer_id"])

        mailed = False
        if preferences.get("mail"):
            subject = SUBJECTS.get(status, "News of your parcel")
            couriers.send_mail(cfg["POSTBOX_KEY"], order["email"], subject, mail_text(order, tracking))
            mailed = True
        couriers.tell_shop(cfg["SHOP_API"], cfg["SHOP_TOKEN"], order["id"], status, tracking.get("eta"))

        ledger.record_event(
            cfg["PARCEL_DB"], event["event_id"], order["id"], event["courier"], status, tracking["location"]
        )
        try:
            ledger.touch_courier(cfg["PARCEL_DB"], event["courier"])
        except Exception:
            pass
    except Exception as exc:
        return jsonify(error=str(exc)), 500

    weight_g = sum(item["weight_g"] for item in order["items"])
    return jsonify(event_id=event["event_id"], order_id=order["id"], mailed=mailed, weight_g=weight_g)


@hooks.get("/orders/search")
def search():
    try:
        return jsonify(orders=ledger.search_orders(current_app.config["PARCEL_DB"], request.args.get("q", "")))
    except Exception as exc:
        return jsonify(error=str(exc)), 500


@hooks.get("/orders/<int:order_id>/events")
def order_events(order_id):
    return jsonify(events=ledger.events_of(current_app.config["PARCEL_DB"], order_id))
