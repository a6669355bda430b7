"""How a page is rendered: escaped, and complete or not at all."""

import jinja2


def render(template: str, **values: object) -> str:
    """The text of ``templates/TEMPLATE``; a value that the template needs and does not get is an error."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("labelnoise.reports"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**values)
