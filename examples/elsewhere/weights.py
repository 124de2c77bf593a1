"""Keeps the weight of the tuned model in LiteLLM or Envoy at the share that the verdict tells: 0 at once on an alarm.

    python weights.py --verdict http://127.0.0.1:8081/verdict --key-file reader.key \
        litellm --url http://127.0.0.1:4000 --master-key-file litellm.key --base BASE-ID --tuned TUNED-ID
    python weights.py --verdict http://127.0.0.1:8081/verdict --key-file reader.key \
        envoy --admin http://127.0.0.1:9901 --runtime-key routing.traffic_shift.tuned

It needs Python alone. Where no verdict can be had for --lost-seconds, the weight is 0: whoever cannot know sends
everything to the base. LiteLLM must keep its models in its database (store_model_in_db); the ids are those of its
/model/info. Envoy takes whole per cent, so the share is rounded down, and its runtime needs an admin layer.
"""

import argparse
import json
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

AGAIN = 30.0
"""Seconds after which a weight is set again although it did not change: somebody else may have changed it."""


def asked(url, key="", body=None):
    """The JSON that an address answers with; None for an empty or other answer. OSError, ValueError."""
    headers = {"Content-Type": "application/json"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=10) as reply:
        text = reply.read()
    return json.loads(text) if text.lstrip().startswith(b"{") else None


def wanted_share(verdict):
    """Share of traffic for the tuned model. ValueError where the verdict says none."""
    share = verdict["share"]
    if verdict["alarm"] or verdict["state"] == "rolled back":
        return 0.0
    if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 <= share <= 1:
        raise ValueError(f"the share is {share!r}")
    return float(share)


def set_litellm(options, share):
    """Weights of the two deployments of one model group; routing must be `simple-shuffle`, the default."""
    # the tuned model first where it loses traffic, so that no moment gives it more than both before and after
    pairs = [(options.tuned, share), (options.base, 1.0 - share)]
    for deployment, weight in pairs:
        body = {"model_info": {"id": deployment}, "litellm_params": {"weight": round(weight * 1000)}}
        asked(options.url.rstrip("/") + "/model/update", options.master_key, body)


def set_envoy(options, share):
    """The runtime key of a `runtime_fraction` on the route to the tuned model."""
    query = urllib.parse.urlencode({options.runtime_key: int(share * 100 + 1e-9)})
    asked(f"{options.admin.rstrip('/')}/runtime_modify?{query}", body={})


def run(options, clock=time.monotonic, sleep=time.sleep):
    """Until it is ended; with --once a single round, whose exit code says whether it went through."""
    heard, in_force, since = clock(), None, 0.0
    while True:
        share, failed = None, ""
        try:
            share = wanted_share(asked(options.verdict, options.key))
            heard = clock()
        except (OSError, ValueError, KeyError, TypeError) as error:
            failed = f"no verdict ({error})"
            if clock() - heard >= options.lost_seconds:
                share = 0.0
        if share is not None and (share != in_force or clock() - since >= AGAIN):
            try:
                options.set(options, share)
                if share != in_force:
                    print(f"the tuned model has {share:.3%} of traffic{'; ' + failed if failed else ''}", flush=True)
                in_force, since = share, clock()
            except (OSError, ValueError) as error:
                in_force = None
                failed = f"the weight could not be set to {share:.3%} ({error}); tried again"
        if failed and share != in_force:
            print(failed, file=sys.stderr, flush=True)
        if options.once:
            return 0 if share is not None and share == in_force else 1
        sleep(options.seconds)


def options_of(arguments):
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--verdict", required=True, help="with ?alias=NAME where there are several")
    parser.add_argument("--key-file", help="holds the reader's key")
    parser.add_argument("--seconds", type=float, default=2.0, help="between two rounds")
    parser.add_argument("--lost-seconds", type=float, default=60.0)
    parser.add_argument("--once", action="store_true")
    kinds = parser.add_subparsers(required=True)
    litellm = kinds.add_parser("litellm")
    litellm.add_argument("--url", required=True)
    litellm.add_argument("--master-key-file")
    litellm.add_argument("--base", required=True, help="id of its deployment")
    litellm.add_argument("--tuned", required=True, help="id of its deployment")
    litellm.set_defaults(set=set_litellm)
    envoy = kinds.add_parser("envoy")
    envoy.add_argument("--admin", required=True)
    envoy.add_argument("--runtime-key", required=True)
    envoy.set_defaults(set=set_envoy)
    options = parser.parse_args(arguments)
    options.key = _read(options.key_file)
    options.master_key = _read(getattr(options, "master_key_file", None))
    return options


def _read(path):
    if not path:
        return ""
    with open(path, encoding="utf-8") as file:
        return file.read().strip()


if __name__ == "__main__":
    sys.exit(run(options_of(sys.argv[1:])))
