# SPDX-License-Identifier: Apache-2.0
"""Let many threads write one SQLite file. Runs in the services' environment.

oslo.db begins every SQLite transaction as a reader. One that reads and then writes while another
does the same fails at once with "database is locked", whatever the timeout, because waiting
could not help. Transactions that are declared as writers therefore begin as writers: they
queue up, and the timeout works.

oslo.db opens a connection for each transaction on SQLite, which takes a quarter of the time of
Nova's lists. Here connections are kept, as on any other database.
"""

from typing import Any

import sqlalchemy
from oslo_db.sqlalchemy import enginefacade, engines

_OPTION = "devcloud_writes"
_Factory: Any = enginefacade._TransactionFactory
_create_session = _Factory._create_session
_create_connection = _Factory._create_connection


def install() -> None:
    """Change how oslo.db begins transactions in this process."""
    _Factory._create_session = _session
    _Factory._create_connection = _connection
    # Listeners of the class run before oslo.db's, which belong to each engine.
    sqlalchemy.event.listen(sqlalchemy.engine.Engine, "begin", _begin)
    # Runs after oslo.db's own function for SQLite.
    engines._init_connection_args.dispatch_for("sqlite")(_keep_connections)


def _keep_connections(_url: Any, options: dict[str, Any], _more: dict[str, Any]) -> None:
    if options.get("poolclass") is sqlalchemy.pool.NullPool:
        # There may be any number of connections; most are closed after use.
        options.update(poolclass=sqlalchemy.pool.QueuePool, pool_size=8, max_overflow=-1)


def _writer(factory: Any) -> Any:
    if not factory._started:
        factory._start()
    return factory._writer_engine.execution_options(**{_OPTION: True})


def _session(factory: Any, mode: Any, bind: Any = None) -> Any:
    if mode is enginefacade._WRITER and bind is None:
        bind = _writer(factory)
    return _create_session(factory, mode, bind=bind)


def _connection(factory: Any, mode: Any) -> Any:
    if mode is enginefacade._WRITER:
        return _writer(factory).connect()
    return _create_connection(factory, mode)


def _begin(connection: Any) -> None:
    if connection.get_execution_options().get(_OPTION) and "in_transaction" not in connection.info:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        # oslo.db's own note, which keeps it from beginning again.
        connection.info["in_transaction"] = True
