"""`marketfeed schema`: the JSON Schema of an event."""

import click


@click.command("schema", short_help="Print the JSON Schema of an event.")
@click.argument("event", default="")
def command(event: str) -> int:
    """Print the JSON Schema of an event; without a name list what events there are.

    \b
    Examples:
      marketfeed schema
      marketfeed schema trade
      marketfeed schema book_delta > book_delta.json
    """
    from .. import schema  # noqa: PLC0415 # heavy

    if event:
        click.echo(schema.text(schema.schema(event)), nl=False)
        return 0
    kinds = schema.schemas()
    width = max(map(len, kinds))
    for kind, body in kinds.items():
        click.echo(f"{kind:<{width}}  {body['description'].partition('. ')[0].partition('; ')[0].rstrip('.')}")
    return 0
