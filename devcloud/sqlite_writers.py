# SPDX-License-Identifier: Apache-2.0
"""Let many threads write one SQLite file. Runs in the services' environment.

oslo.db begins every SQLite transaction as a reader. One that reads and then writes while another
does the same fails at once with "database is locked", whatever the timeout, because waiting
could not help. Transactions that are declared as writers therefore begin as writers: they
queue up, and the timeout works.
"""

from typing import Any

import sqlalchemy
from oslo_db.sqlalchemy import enginefacade

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
