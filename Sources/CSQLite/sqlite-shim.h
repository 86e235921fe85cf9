// The one call of SQLite that Swift cannot make itself: its C function takes a variable number of arguments.
#pragma once
#include <sqlite3.h>

/// Closing the connection no longer moves the write-ahead log into the main file, which may take seconds.
static inline int rialto_sqlite_no_checkpoint_on_close(sqlite3 *database) {
  return sqlite3_db_config(database, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, (int *)0);
}
