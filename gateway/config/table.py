"""Every key of cabinet.toml: type, bounds, default, meaning.  The one table of the reference.

Kinds, bounds and defaults of a key: gateway/aio/toml_check.py.  Which keys of [[bus]] belong to
which bus, and what stands for the ones left out: drivers/links/registry.py.
"""

from decimal import Decimal

from drivers.links.registry import PROTOCOLS, TRANSPORTS
from gateway.aio.toml_check import REQUIRED, ConfigKey
from gateway.core.roles import ROLE_NAMES

BAUDS = (1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200)
# IEC 62053-21/-22 (0.2S .. 2), EN 50470-3 (A B C); "none" = no class error is claimed.
METER_CLASSES = ("0.1S", "0.2S", "0.5S", "0.2", "0.5", "1", "2", "3", "A", "B", "C",
                 "none", "unknown")
# IEC 61869-2 measuring classes; "none" = direct connection.
CT_CLASSES = ("0.1", "0.2", "0.2S", "0.5", "0.5S", "1", "3", "none", "unknown")

TABLES: dict[str, tuple[ConfigKey, ...]] = {
    "site": (
        ConfigKey("id", "id", REQUIRED, 1, 40, meaning="site, as the fleet names it"),
        ConfigKey("name", "text", REQUIRED, 1, 80, meaning="site, as people name it"),
        ConfigKey("timezone", "text", "UTC", 1, 60, meaning="IANA zone, e.g. Europe/Berlin"),
        ConfigKey("cabinet", "id", REQUIRED, 3, 40, meaning="device id = TLS name = MQTT user"),
        ConfigKey("off_grid", "bool", False, meaning="true: no grid meter, for there is no grid"),
    ),
    "journal": (
        ConfigKey("directory", "path", REQUIRED, meaning="folder of the journal, on flash"),
        ConfigKey("interval_s", "int", 10, 1, 3600,
                  meaning="each device is read once per interval"),
        ConfigKey("loss_window_s", "int", 10, 1, 60, meaning="a power cut costs at most this much"),
        ConfigKey("batch_minutes", "int", 15, 1, 60, meaning="a sealed batch covers at most this"),
        ConfigKey("keep_mib", "int", 512, 1, 65536,
                  meaning="room for batches: then acknowledged ones go, then old ones get coarser"),
    ),
    "keys": (ConfigKey("evidence", "path", REQUIRED, meaning="Ed25519 PEM, mode 0600"),),
    "uplink": (
        ConfigKey("host", "host", REQUIRED, 1, 253, meaning="broker"),
        ConfigKey("port", "int", 8883, 1, 65535, meaning="broker's TLS port"),
        ConfigKey("ca", "path", REQUIRED, meaning="PEM of the broker's CA"),
        ConfigKey("certificate", "path", REQUIRED, meaning="PEM certificate, CN = cabinet"),
        ConfigKey("key", "path", REQUIRED, meaning="PEM key of the certificate, mode 0600"),
        ConfigKey("receipt_key", "path", REQUIRED,
                  meaning="PEM public key of the fleet's receipts"),
        ConfigKey("cap_kbit_s", "int", 0, 0, 1_000_000,
                  meaning="limit of all that is sent; 0 = none"),
        ConfigKey("backlog_percent", "int", 50, 10, 90,
                  meaning="share of the cap for old batches; live messages have the rest"),
        ConfigKey("live_s", "int", 5, 1, 3600,
                  meaning="live messages are at least so many seconds apart"),
        ConfigKey("retry_s_min", "number", Decimal("0.2"), Decimal("0.1"), 60,
                  meaning="first reconnect after about this (real seconds)"),
        ConfigKey("retry_s_max", "number", Decimal(30), 1, 900,
                  meaning="reconnect at the latest after this (real seconds)"),
    ),
    "status": (ConfigKey("file", "path", REQUIRED, meaning="JSON status; may lie in a tmpfs"),),
    "factors": (
        ConfigKey("file", "path", "", meaning="factor set as a file"),
        ConfigKey("id", "text", "", 1, 80, meaning="factor set by name"),
    ),
    "battery": (
        ConfigKey("capacity_wh", "int", REQUIRED, 1, 100_000_000, meaning="usable capacity"),
        ConfigKey("eta_charge", "number", REQUIRED, Decimal("0.5"), 1, meaning="AC to stored"),
        ConfigKey("eta_discharge", "number", REQUIRED, Decimal("0.5"), 1, meaning="stored to AC"),
        ConfigKey("standby_w", "number", Decimal(0), 0, 10_000, meaning="own use while idle"),
    ),
    "clock": (
        ConfigKey("speed", "int", 1, 1, 10_000, meaning="simulation: world runs this much faster"),
        ConfigKey("origin_utc", "time", REQUIRED, meaning="simulation: UTC at its start"),
        ConfigKey("started_unix_ms", "int", REQUIRED, 0, 2**53, meaning="wall ms at its start"),
    ),
    "bus": (
        ConfigKey("name", "id", REQUIRED, 1, 40, meaning="name of the line"),
        ConfigKey("transport", "text", REQUIRED, choices=TRANSPORTS, meaning="what carries it"),
        ConfigKey("protocol", "text", REQUIRED, choices=PROTOCOLS, meaning="what is spoken on it"),
        ConfigKey("tty", "path", "", meaning="serial: device file, e.g. /dev/ttyS1"),
        ConfigKey("baud", "int", 0, 1200, 115200, meaning="serial: modbus 9600, pylontech 115200"),
        ConfigKey("parity", "text", "N", choices=("N", "E", "O"), meaning="serial: N, E or O"),
        ConfigKey("stopbits", "int", 1, 1, 2, meaning="serial: 1 or 2"),
        ConfigKey("echo", "bool", False, meaning="serial: the line returns what we send"),
        ConfigKey("host", "host", "", 1, 253, meaning="tcp: host name or address"),
        ConfigKey("port", "int", 0, 1, 65535, meaning="tcp: port of the server; modbus 502"),
        ConfigKey("at_once", "int", 1, 1, 16,
                  meaning="tcp: questions under way at once; over 1 only if the far end's maker "
                          "says so"),
        ConfigKey("url", "text", "", 1, 300, meaning="http: http://host:port"),
        ConfigKey("timeout_s", "number", Decimal(1), Decimal("0.05"), 5,
                  meaning="first guess; the gateway learns each unit's own (real seconds)"),
    ),
    "device": (
        ConfigKey("name", "id", REQUIRED, 1, 40, meaning="name of the device"),
        ConfigKey("bus", "id", REQUIRED, 1, 40, meaning="name of its bus"),
        ConfigKey("unit", "int", 1, 0, 247, meaning="address on the bus"),
        ConfigKey("profile", "id", REQUIRED, 1, 60, meaning="device model, drivers/profiles"),
        ConfigKey("role", "text", "none", choices=(*ROLE_NAMES, "none"),
                  meaning="what its energy is"),
        ConfigKey("rated_w", "int", 0, 1, 100_000_000, meaning="power it can never exceed"),
        ConfigKey("ct_ratio", "number", Decimal(1), 1, 10_000, meaning="values times this"),
        ConfigKey("meter_class", "text", "unknown", choices=METER_CLASSES, meaning="accuracy"),
        ConfigKey("ct_class", "text", "none", choices=CT_CLASSES, meaning="accuracy of the CTs"),
        ConfigKey("resolution", "text", "coarse", choices=("coarse", "fine"), meaning="steps kept"),
        ConfigKey("feeds", "names", (), 0, 64, meaning="nodes behind this meter"),
        ConfigKey("cores", "number", Decimal(0), Decimal("0.1"), 4096, meaning="node: CPU cores"),
        ConfigKey("idle_w", "number", Decimal(0), 0, 100_000, meaning="node: power when idle"),
        ConfigKey("meter", "id", "", 1, 40, meaning="node: device that meters it"),
        ConfigKey("workloads", "names", (), 0, 64, meaning="node: workloads to follow"),
        ConfigKey("path", "text", "", 1, 200,
                  meaning="node: path of the metrics, if not the url's"),
    ),
}

# Tables that must be there; [battery] and [clock] may be missing, [[bus]] and [[device]] not.
NEEDED = ("site", "journal", "keys", "uplink", "status", "factors")
LISTS = {"bus": 64, "device": 128}      # tables that repeat, and how often at most
