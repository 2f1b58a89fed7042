"""Prometheus text: decimal digits to whole numbers, torn and hostile bodies."""

from drivers import driver, profile, prometheus
from gateway.core.errors import BadFrame, FormatError, NoReply, Refused
from gateway.core.reading import BAD_FRAME, NO_REPLY, NOT_IMPLEMENTED, OUT_OF_RANGE, Absent

TEXT = b"""# HELP node_cpu_seconds_total Seconds the CPUs spent in each mode.
# TYPE node_cpu_seconds_total counter
node_cpu_seconds_total{cpu="0",mode="idle"} 90000.5
node_cpu_seconds_total{cpu="0",mode="user"} 1.5e+03
node_cpu_seconds_total{cpu="0",mode="system"} 12.3456 1700000000000
node_cpus 32
cpu_used{name="pos"} 7.25
cpu_used{name="vision",note="a \\"b\\" } c"} 1
"""


def node(workloads=("pos",)):
    """Return a driver of a host and its workloads."""
    row = {"group": "journal", "source": ["a"]}
    made = profile.make("node", {
        "manufacturer": "M", "model": "X", "kind": "compute", "protocol": "prometheus",
        "maturity": "simulated", "sources": {"a": "a test"},
        "transport": {"buses": ["prometheus"], "source": ["a"]},
        "point": [
            dict(row, measurand="cpu_time", item="host", metric="node_cpu_seconds_total",
                 without={"mode": ["idle"]}),
            dict(row, measurand="cpu_cores", item="host", metric="node_cpus"),
            dict(row, measurand="cpu_time", item="workload", metric="cpu_used", label="name")]})
    return driver.build(made, driver.Setup(prometheus.Gets("h", "/metrics"), workloads=workloads))


def polled(text, workloads=("pos",)):
    """Return the values of one poll over a text."""
    return driver.run(node(workloads).poll(), lambda question: text)


def fails(kind, work):
    """Fail if work() does not raise this kind."""
    try:
        work()
    except kind:
        return
    raise AssertionError("accepted")


def test_a_poll_adds_series_and_names_workloads():
    device = node(("pos", "vision"))
    assert [(p.measurand, p.exponent, p.item) for p in device.points] == [
        (120, -3, ""), (121, -3, ""), (120, -3, "pos"), (120, -3, "vision")]
    assert polled(TEXT, ("pos", "vision")) == (1512346, 32000, 7250, 1000)


def test_a_missing_workload_or_nan_is_no_value_and_never_zero():
    assert polled(TEXT, ("gone",))[2] == Absent(NOT_IMPLEMENTED)
    assert polled(b"node_cpus NaN\n")[1] == Absent(NOT_IMPLEMENTED)
    assert polled(b"node_cpus +Inf\n")[1] == Absent(NOT_IMPLEMENTED)
    assert polled(b"node_cpus eight\n")[1] == Absent(OUT_OF_RANGE)
    assert polled(b"node_cpus 1e99\n")[1] == Absent(OUT_OF_RANGE)
    assert polled(b"node_cpu_seconds_total -1\n")[0] == Absent(OUT_OF_RANGE)


def test_decimal_texts_become_whole_numbers_without_a_float():
    for text, exponent, value in (("1", -3, 1000), ("1.2345", -3, 1235), ("-1.2345", -3, -1235),
                                  ("1e3", 0, 1000), ("1.5E-3", -3, 2), (".5", -1, 5),
                                  ("5.", 0, 5), ("+7", 0, 7), ("9007199254740993", 0,
                                                              9007199254740993)):
        assert prometheus.number(text, exponent) == value, text
    for text in ("", "-", "1e", "e5", "1.2.3", "0x10", "1e9999", "1_000", "--1", "9" * 41):
        fails(FormatError, lambda: prometheus.number(text, 0))


def test_lines_that_are_not_metrics_spoil_the_whole_text():
    for line in (b"{} 1", b"name", b"name{a=\"1\" 2", b"name{a=\"1} 2"):
        assert polled(TEXT + line + b"\n")[0] == Absent(BAD_FRAME), line
    assert polled(b"cpu_used{name=1} 2\n")[2] == Absent(BAD_FRAME)


def test_more_than_five_thousand_series_are_refused():
    fails(BadFrame, lambda: prometheus.parse(b"a 1\n" * 5001, ()))
    assert prometheus.parse(b"a 1\n" * 5000, ()) == []


def got(*parts):
    """Return the body of an HTTP answer that comes in these parts, then closes."""
    question = prometheus.HttpGet("h", "/m")
    for part in parts:
        if question.feed(part):
            return question.result
    question.closed()
    return question.result


def test_the_question_is_http_1_0_so_that_nobody_sends_chunks():
    request = prometheus.HttpGet("127.0.0.1:9100", "/metrics").request
    assert request.startswith(b"GET /metrics HTTP/1.0\r\nHost: 127.0.0.1:9100\r\n")
    assert request.endswith(b"\r\n\r\n")


def test_a_body_ends_at_its_length_or_at_the_close():
    assert got(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\na 1\n") == b"a 1\n"
    assert got(b"HTTP/1.0 200 OK\r\n", b"\r", b"\na ", b"1\n") == b"a 1\n"


def test_torn_oversized_chunked_or_foreign_answers_are_refused():
    for parts in ((b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\na 1\n",),
                  (b"HTTP/1.0 200 OK\r\n\r\na 1\nb ",), (b"",), (b"HTTP/1.0 200",),
                  (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",),
                  (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",),
                  (b"HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n",),
                  (b"SSH-2.0-x\r\n\r\n",), (b"x" * 20000,),
                  (b"HTTP/1.0 200 OK\r\n\r\n",) + (b"a 1\n" * 65536,) * 5):
        fails(BadFrame, lambda: got(*parts))
    fails(Refused, lambda: got(b"HTTP/1.1 302 Found\r\nLocation: /x\r\n\r\n"))


def test_a_silent_node_gives_reasons():
    def answer(question):
        raise NoReply("off")
    assert driver.run(node().poll(), answer) == (Absent(NO_REPLY),) * 3
