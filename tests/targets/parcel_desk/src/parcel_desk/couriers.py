"""The systems we talk to: couriers, customers, the shop's backend and Postbox."""

import requests

POSTBOX_URL = "https://api.postbox.example/v3/send"


def fetch_tracking(base_url, tracking_no):
    response = requests.get(f"{base_url}/v2/parcels/{tracking_no}")
    response.raise_for_status()
    return response.json()


def fetch_preferences(base_url, customer_id):
    response = requests.get(f"{base_url}/customers/{customer_id}/preferences")
    response.raise_for_status()
    return response.json()


def send_mail(api_key, recipient, subject, text):
    response = requests.post(
        POSTBOX_URL,
        json={"to": recipient, "subject": subject, "text": text},
        headers={"X-Postbox-Key": api_key},
    )
    response.raise_for_status()


def tell_shop(base_url, token, order_id, status, eta):
    requests.post(
        f"{base_url}/orders/{order_id}/status",
        json={"status": status, "eta": eta},
        headers={"Authorization": f"Bearer {token}"},
    )
