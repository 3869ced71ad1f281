"""Where the metrics of a local line are: each program takes a free port and says which, in one folder.

Prometheus follows that folder; the configuration beside it is ready to be used.
"""

from pathlib import Path
from typing import Final

PROMETHEUS_FILE: Final = "prometheus.yml"
TARGETS: Final = "metrics"
RULES: Final = Path(__file__).parents[1] / "prometheus" / "rules.yml"

# JSON is YAML: paths are quoted as JSON quotes them.
_CONFIG: Final = """\
# made by `escrow up`: prometheus --config.file=THIS_FILE
global:
  scrape_interval: {interval}
  evaluation_interval: {interval}
rule_files: [{rules}]
scrape_configs:
  - job_name: escrow
    file_sd_configs:
      - files: [{targets}]
        refresh_interval: 5s
"""


def write_prometheus_files(data_dir: Path) -> dict[str, str]:
    """Make folder and configuration; returns the environment with which programs serve metrics."""
    folder = data_dir / TARGETS
    folder.mkdir(exist_ok=True)
    for left in folder.glob("*.json"):
        left.unlink()  # of a run that was killed
    (data_dir / PROMETHEUS_FILE).write_text(prometheus_config(folder), encoding="utf-8")
    return {"ESCROW_METRICS_PORT": "0", "ESCROW_METRICS_TARGETS": str(folder)}


def prometheus_config(folder: Path, interval: str = "5s", rules: Path = RULES) -> str:
    """What Prometheus needs to scrape the programs of this folder, and to judge them."""
    return _CONFIG.format(
        interval=interval, rules=_quoted(rules), targets=_quoted(folder / "*.json")
    )


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"
