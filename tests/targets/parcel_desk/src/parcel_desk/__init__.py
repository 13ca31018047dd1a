"""Courier status events for the shop."""

import logging

from flask import Flask

from parcel_desk import ledger, settings
from parcel_desk.hooks import hooks


def create_app(overrides=None):
    app = Flask(__name__)
    app.config.from_mapping(settings.load())
    app.config.update(overrides or {})
    logging.basicConfig(level=app.config["LOG_LEVEL"])

    ledger.create_tables(app.config["PARCEL_DB"])
    ledger.add_demo_orders(app.config["PARCEL_DB"], app.config["PARCEL_DEMO_ORDERS"])

    app.register_blueprint(hooks)
    return app
