from benchmarks.serving.ray_proxies import (
    ALONE,
    DEFAULT,
    FAST,
    OPTIMIZED,
    SERVERS,
    Measured,
    report,
)

RATES = {ALONE: (400.0, 900.0), DEFAULT: (100.0, 200.0), FAST: (200.0, 600.0), OPTIMIZED: (1, 1)}


def test_a_report_divides_the_rates_of_the_same_round():
    measured = [
        Measured(server, 16, RATES[server][number], 5.0 + number, 9.0, 0.5)
        for number in range(2)
        for server in SERVERS
    ]
    lines = report(measured, [16]).splitlines()
    assert lines[2] == (
        "| 16 | zserve alone | 650 [400, 900] | 4.25 [4.00, 4.50] | 5.50 | 9.00 | 0.50 |"
    )
    assert "| 16 | on Ray, default proxy | 150 [100, 200] |  |" in lines[3]
    assert "| 2.50 [2.00, 3.00] |" in lines[4]
