import argparse

from parcel_desk import create_app


def main():
    parser = argparse.ArgumentParser(prog="parcel_desk")
    parser.add_argument("--port", type=int, default=8080)
    args = parser.parse_args()
    create_app().run(host="127.0.0.1", port=args.port, threaded=True, debug=False)


if __name__ == "__main__":
    main()
