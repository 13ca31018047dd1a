import os


def load():
    return {
        "COURIER_SECRET": os.environ.get("COURIER_SECRET", "pd-courier-7Hq2vX9s"),
        "COURIER_API": os.environ.get("COURIER_API", "http://courier.internal:9001"),
        "CUSTOMER_API": os.environ.get("CUSTOMER_API", "http://customers.internal:9002"),
        "SHOP_API": os.environ.get("SHOP_API", "http://shop.internal:9003"),
        "SHOP_TOKEN": os.environ.get("SHOP_TOKEN", ""),
        "POSTBOX_KEY": os.environ.get("POSTBOX_KEY", ""),
        "PARCEL_DB": os.environ.get("PARCEL_DB", "parcel_desk.db"),
        "PARCEL_DEMO_ORDERS": int(os.environ.get("PARCEL_DEMO_ORDERS", "0")),
        "LOG_LEVEL": os.environ.get("LOG_LEVEL", "INFO"),
    }
