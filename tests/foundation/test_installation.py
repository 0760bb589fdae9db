from foundation.database import DatabaseName, Role


def test_an_installation_is_ready_to_use(installation, no_leaks):
    with installation.database.connect(Role.MIGRATOR) as connection:
        user, name = connection.execute("SELECT current_user, current_database()").fetchone()
    assert user == "lintas_migrator"
    assert name == DatabaseName.LINTAS.on_server(installation.settings)


def test_a_second_installation_shares_nothing_but_the_server(make_installation):
    first, second = make_installation(), make_installation()
    with first.database.connect(Role.MIGRATOR) as connection:
        connection.execute("CREATE TABLE only_here ()")
    with second.database.connect(Role.MIGRATOR) as connection:
        assert connection.execute("SELECT to_regclass('only_here')").fetchone() == (None,)
