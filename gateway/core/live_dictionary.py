"""The dictionary of live messages: text that both ends know, so that it is not sent.

A live message is JSON, deflated with these bytes as preset dictionary (docs/formats.md, "Live
message").  A change of one byte here is another format: a new FORMAT and a new dictionary.
"""

FORMAT = b"\x01"            # first byte of a message; the raw deflate stream follows
MESSAGE_BYTES_MAX = 32768   # as JSON

# What is frequent stands last: deflate names near text in fewer bits.
DICTIONARY = (
    b'"unknown""rtc""device""ntp""gnss""simulated""stale""not-read-yet""no-reply""bad-frame"'
    b'"refused""not-asked""not-implemented""out-of-range""degraded-ram""full"'
    b'meter-battery-meter","node-climate","bms","pv","grid","cooling","lighting","other","genset","'
    b'{"v":1,"device":"shop-1","boot":1,"seq":,"utc":"2026-T0:00.000Z","clock":{"source":"ntp",'
    b'"uncertainty_s":0.02},"power_w":{"grid":null,"pv":null,"battery":-,"genset":null,"it":,'
    b'"cooling":,"lighting":,"other":,"residual":},"carbon":{"grid_g_per_kwh":,"bus_g_per_kwh":,'
    b'"core_hour_g":,"battery_g_per_kwh":,"renewable_share_it":0.},"battery":{"soc":0.,"stored_wh":'
    b'},"climate":[{"name":"climate","temperature_c":,"humidity":}],"journal":{"durable_seq":,'
    b'"acknowledged_seq":,"batches_waiting":0,"state":"ok"},"nodes":[{"name":"node-1","power_w":,'
    b'"cpu_share":0.,"cores":32,"tasks_running":,"tasks_per_min":},{"name":"node-2","power_w":'
    b'],"devices":[{"name":"grid","ok":false,"reason":"no-reply","age_s":null}'
    b',{"name":"meter-0","ok":true,"age_s":1},{"name":"meter-1","ok":true,"age_s":1},{"name":"')
