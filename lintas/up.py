"""`lintas up`: the whole group in the foreground, and what it says meanwhile."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from foundation.settings import Settings, load_settings
from lintas.errors import OtherPeople
from lintas.output import console
from lintas.practice_agencies import recorded_people
from lintas.processes import bus_processes, practice_processes
from lintas.supervisor import ProcessState, ProcessStatus, Supervisor

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["announce_changes", "group_of", "run_group", "settings_for"]


def run_group(*, with_practice: bool, people: int | None) -> int:
    """Start everything, wait for Ctrl-C or SIGTERM, end everything."""
    settings = settings_for(people)
    out = console()
    out.print(f"[bold]Lintas[/bold] on {settings.home}")
    group = group_of(settings, with_practice=with_practice)
    with group:
        tell = announce_changes(out)
        told_where = False

        def on_change(statuses: list[ProcessStatus]) -> None:
            nonlocal told_where
            tell(statuses)
            if not told_where and all(status.state is ProcessState.HEALTHY for status in statuses):
                told_where = True
                out.print(f"\nAll is up. {where_to_look(settings)}\nCtrl-C ends everything.", soft_wrap=True)

        group.run_until_signal(on_change)
        out.print("\nending …")
    out.print("ended: no process, port or lock stays behind")
    return 0


def group_of(settings: Settings, *, with_practice: bool) -> Supervisor:
    """The supervisor of all processes, not yet started."""
    specs = [*bus_processes(settings), *(practice_processes(settings) if with_practice else ())]
    return Supervisor(settings.home, specs)


def announce_changes(out: "Console") -> Callable[[Sequence[ProcessStatus]], None]:
    """A listener that prints one line whenever a process changes its state for good or ill."""
    seen: dict[str, ProcessState] = {}
    colours = {
        ProcessState.HEALTHY: "green",
        ProcessState.UNHEALTHY: "yellow",
        ProcessState.RESTARTING: "red",
    }

    def tell(statuses: Sequence[ProcessStatus]) -> None:
        for status in statuses:
            if seen.get(status.name) is status.state:
                continue
            seen[status.name] = status.state
            if colour := colours.get(status.state):
                seconds = status.seconds_to_healthy
                after = (
                    f"  [dim]{seconds:.1f} s[/dim]"
                    if status.state is ProcessState.HEALTHY and seconds
                    else ""
                )
                out.print(f"  [{colour}]{status.state.value:<10}[/{colour}] {status.name}{after}")

    return tell


def settings_for(people: int | None) -> Settings:
    """The settings of the environment, with as many practice people as asked for, or as are there already.

    Raises:
        OtherPeople: When this home was filled with another number: a register that changes so much is held.
    """
    settings = load_settings()
    known = recorded_people(settings.home)
    if people is not None and known is not None and people != known:
        raise OtherPeople(settings.home, known)
    chosen = people or known
    return settings if chosen is None else settings.model_copy(update={"people": chosen})


def where_to_look(settings: Settings) -> str:
    """The addresses of what runs."""
    return (
        f"API: https://{settings.api_host}:{settings.api_port}/docs · "
        f"Airflow: http://127.0.0.1:{settings.airflow_port} "
        f"(user lintas, password in {settings.home}/airflow/passwords.json)"
    )
