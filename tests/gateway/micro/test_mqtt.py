"""The MQTT adapter, on the interpreter and with the package that it is for."""

import shutil
import subprocess
from pathlib import Path

from tests.support.board_site import make, with_umqtt
from tests.support.parts import need

ROOT = Path(__file__).resolve().parents[3]


def test_umqtt_simple_makes_and_reads_packets_and_never_waits(tmp_path, request):
    cache = request.config.cache.mkdir("wattproof-board")
    site = with_umqtt(make(tmp_path), cache)
    (tmp_path / "umqtt").mkdir()
    shutil.copy(site / "board" / "umqtt_simple.py", tmp_path / "umqtt" / "simple.py")
    (tmp_path / "gateway").symlink_to(ROOT / "gateway")
    script = Path(__file__).parent / "mqtt_on_board.py"
    done = subprocess.run([need("micropython"), str(script), str(tmp_path)], timeout=60,
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "all 7"
