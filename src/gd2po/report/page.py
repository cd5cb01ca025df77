"""What the pages of gd2po share: one HTML file each, nothing from the network, every string of a log escaped."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from importlib import resources
from typing import Any

from gd2po.errors import MissingDependencyError

HOME = "gd2po.report"
"""Package whose templates hold the style and the script of all pages."""


def render_page(
    package: str,
    template: str,
    charts: Mapping[str, Any],
    context: Mapping[str, Any],
    filters: Mapping[str, Callable[..., Any]],
) -> str:
    """A page rendered from a template, self-contained.

    The template finds style, scripts, charts and content security policy under the names `css`, `plotly_js`, `script`,
    `charts_json` and `policy`.

    Args:
        package: whose folder `templates` holds the template.
        template: its name.
        charts: Plotly figures, each under the id of its element.
        context: what the template shows.
        filters: Jinja filters, by name.

    Raises:
        MissingDependencyError: Plotly or Jinja2 is not installed.
    """
    require_page_packages("The page")
    import jinja2
    import plotly.offline
    from markupsafe import Markup

    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= filters
    plotly_js, script = plotly.offline.get_plotlyjs(), _asset(HOME, "page.js")
    return environment.from_string(_asset(package, template)).render(
        policy=_policy(plotly_js, script),
        css=Markup(_asset(HOME, "page.css")),
        plotly_js=Markup(plotly_js),
        script=Markup(script),
        charts_json=Markup(script_json(charts)),
        **context,
    )


def require_page_packages(what: str, extra: str = "report") -> None:
    """Raise if no page can be made; what computes for long before it writes one asks first.

    Args:
        what: needs the page, as in "A comparison".
        extra: of gd2po that installs the packages.

    Raises:
        MissingDependencyError: names the package.
    """
    try:
        import jinja2 as _jinja2  # noqa: F401
        import plotly.offline as _plotly  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(f"{what} needs {error.name}: pip install 'gd2po[{extra}]'.") from error


def script_json(value: Any) -> str:
    r"""JSON that cannot end the script element it stands in.

    Example:
        >>> print(script_json({"name": "</script>&"}))
        {"name":"\u003c/script\u003e\u0026"}
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in ("<", ">", "&", "\u2028", "\u2029"):
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _asset(package: str, name: str) -> str:
    return (resources.files(package) / "templates" / name).read_text(encoding="utf-8")


def _policy(*scripts: str) -> str:
    """A content security policy that allows these scripts and nothing from the network."""
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for script in scripts
    )
    # Plotly sets styles as it draws, and turns charts into images by data URLs.
    allowed = f"script-src {hashes}; style-src 'unsafe-inline'; img-src data:"
    return f"default-src 'none'; {allowed}; base-uri 'none'; form-action 'none'"
