"""Books the payments that a bank reports, and tells the shop."""

from __future__ import annotations

from flask import Flask

from mill_ledger import health, ledger, logs, payments, protection
from mill_ledger.settings import Settings
from mill_ledger.shop import ShopClient


def create_app(settings: Settings | None = None, shop: ShopClient | None = None) -> Flask:
    """The application; settings from the environment, and a client of the shop that lives as long as it does."""
    settings = settings or Settings.from_environment()
    logs.set_up()
    app = Flask(__name__)
    app.config.update(MAX_CONTENT_LENGTH=settings.max_body_bytes, SETTINGS=settings)
    app.extensions["shop"] = shop or ShopClient(settings.shop_url)
    ledger.init_app(app)
    protection.init_app(app)
    app.register_blueprint(payments.blueprint, url_prefix="/hooks/bank")
    app.register_blueprint(health.blueprint)
    return app
