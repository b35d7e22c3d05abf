"""`klaviyo-sync schema`: the JSON Schema of both files."""

from __future__ import annotations

import json
from pathlib import Path

import click

from klaviyo_sync.config.schema import SCHEMAS


@click.command()
@click.argument("name", required=False, type=click.Choice(tuple(SCHEMAS)))
@click.option(
    "--write", "folder", type=click.Path(file_okay=False, path_type=Path), help="Write <name>.schema.json files to this folder instead."
)
def schema(name: str | None, folder: Path | None) -> None:
    """Print the JSON Schema of klaviyo_sync.yaml (klaviyo_sync), of syncs/*.yaml (sync), or of both."""
    texts = {wanted: text_of(wanted) for wanted in ([name] if name else SCHEMAS)}
    if folder is None:
        click.echo(texts[name] if name else json.dumps({wanted: make() for wanted, make in SCHEMAS.items()}, indent=2))
        return
    folder.mkdir(parents=True, exist_ok=True)
    for wanted, text in texts.items():
        file = folder / f"{wanted}.schema.json"
        file.write_text(f"{text}\n", encoding="utf-8")
        click.echo(str(file))


def text_of(name: str) -> str:
    """A schema as text."""
    return json.dumps(SCHEMAS[name](), indent=2)
