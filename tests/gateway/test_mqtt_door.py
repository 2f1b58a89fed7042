"""The door to aiomqtt: what paho does not need is not loaded, and is there when asked for."""

import subprocess
import sys

PROGRAM = """
import sys
import gateway.app
assert "http.client" not in sys.modules and "email" not in sys.modules, "loaded all the same"
import urllib.request
assert not hasattr(urllib.request, "__path__"), "no package"
assert "http.client" not in sys.modules, "an import alone needs nothing"
assert urllib.request.Request("http://a.example/").host == "a.example"
assert sys.modules["urllib.request"] is urllib.request and "http.client" in sys.modules
from urllib.request import urlopen
assert callable(urlopen)
"""
LOADED = "import urllib.request as real, gateway.mqtt, urllib; assert urllib.request is real"


def test_a_gateway_starts_without_what_paho_loads_for_proxies_and_has_it_when_asked():
    for program in (PROGRAM, LOADED):
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True,
                              check=False, timeout=60)
        assert done.returncode == 0, done.stderr
