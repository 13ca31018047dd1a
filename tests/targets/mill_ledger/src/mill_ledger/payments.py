"""The bank's webhook."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, current_app, jsonify, request
from werkzeug.exceptions import BadRequest, ServiceUnavailable, UnsupportedMediaType

from mill_ledger import ledger
from mill_ledger.shop import ShopClient, ShopUnavailable
from mill_ledger.signing import signed_by_bank

logger = logging.getLogger(__name__)
blueprint = Blueprint("payments", __name__)
_EVENT_ID = re.compile(r"[\w-]{8,64}", re.ASCII)
_ORDER = re.compile(r"ORD-\d{1,12}", re.ASCII)


@dataclass(frozen=True)
class Payment:
    """One payment that the bank reports."""

    event_id: str
    order: str
    amount_cents: int
    currency: str

    @classmethod
    def from_json(cls, data: Any) -> Payment:
        """Read it. Raises ValueError that names the field."""
        if not isinstance(data, dict):
            raise ValueError("not an object")
        event_id, order = data.get("event_id"), data.get("order")
        amount, currency = data.get("amount_cents"), data.get("currency")
        if not isinstance(event_id, str) or not _EVENT_ID.fullmatch(event_id):
            raise ValueError("event_id")
        if not isinstance(order, str) or not _ORDER.fullmatch(order):
            raise ValueError("order")
        if isinstance(amount, str) and amount.isascii() and amount.isdigit() and len(amount) < 12:
            amount = int(amount)
        if not isinstance(amount, int) or isinstance(amount, bool) or not 0 < amount < 10**10:
            raise ValueError("amount_cents")
        if currency not in ("EUR", "CHF"):
            raise ValueError("currency")
        return cls(event_id, order, amount, currency)


@blueprint.post("/payments")
@signed_by_bank
def take() -> tuple[Response, int]:
    """Book a payment once and tell the shop; where the shop cannot be told, the bank delivers again."""
    if request.mimetype != "application/json":
        raise UnsupportedMediaType
    try:
        payment = Payment.from_json(request.get_json())
    except (ValueError, RecursionError) as error:
        logger.info("payment not understood", extra={"reason": str(error)})
        raise BadRequest from None
    fields = {"event_id": payment.event_id, "order": payment.order}
    booked = ledger.book(payment.event_id, payment.order, payment.amount_cents, payment.currency)
    if not booked and ledger.shop_knows(payment.event_id):
        logger.info("delivery repeated", extra=fields)
        return jsonify(status="booked"), 200
    shop: ShopClient = current_app.extensions["shop"]
    try:
        shop.tell_paid(payment.order, ledger.paid_cents(payment.order))
    except ShopUnavailable as error:
        logger.warning("the shop was not told", extra={**fields, "reason": str(error)})
        raise ServiceUnavailable(retry_after=30) from None
    ledger.mark_told(payment.event_id)
    logger.info("payment booked", extra=fields)
    return jsonify(status="booked"), 200
