"""`marketfeed completion`: scripts that complete commands in a shell."""

import click


@click.command("completion", short_help="Print the script that completes commands in a shell.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> int:
    """Print the script that makes a shell complete commands, options and venues.

    \b
    Examples:
      marketfeed completion bash > ~/.local/share/bash-completion/completions/marketfeed
      marketfeed completion zsh > ~/.zfunc/_marketfeed
      marketfeed completion fish > ~/.config/fish/completions/marketfeed.fish
    """
    from click.shell_completion import get_completion_class  # noqa: PLC0415 # only here

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(ctx.find_root().command, {}, "marketfeed", "_MARKETFEED_COMPLETE").source())
    return 0
