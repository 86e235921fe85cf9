import GRDB
import GRDBSQLite

/// A prepared statement that is bound and stepped by SQLite's own functions.
///
/// GRDB's `execute(arguments:)` boxes every value and compares the schema; a commit of a batch would spend more there
/// than in SQLite.
final class StoreStatement {
  /// Keeps the handle alive; finalizes it when it goes.
  private let owner: Statement
  let handle: OpaquePointer

  init(_ database: Database, _ sql: String) throws {
    owner = try database.makeStatement(sql: sql)
    handle = owner.sqliteStatement
  }

  // MARK: Binding. Columns count from 1. A failure shows in the step after it, as a wrong use would.

  @inline(__always) func bind(_ column: CInt, _ value: Int64) {
    let code = sqlite3_bind_int64(handle, column, value)
    assert(code == SQLITE_OK, "column \(column)")
  }

  /// The bit pattern: SQLite has no unsigned integers. Stamps stay positive until the year 6429.
  @inline(__always) func bind(_ column: CInt, bits value: UInt64) { bind(column, Int64(bitPattern: value)) }

  @inline(__always) func bindNull(_ column: CInt) { sqlite3_bind_null(handle, column) }

  @inline(__always) func bind(_ column: CInt, _ value: Int64?) {
    if let value { bind(column, value) } else { bindNull(column) }
  }

  /// Copies `bytes`: for short values.
  func bind(_ column: CInt, copying bytes: UnsafeRawBufferPointer) {
    // No base address would mean NULL.
    guard let base = bytes.baseAddress, !bytes.isEmpty else {
      sqlite3_bind_zeroblob(handle, column, 0)
      return
    }
    sqlite3_bind_blob64(handle, column, base, sqlite3_uint64(bytes.count), transientDestructor)
  }

  func bind(_ column: CInt, copying bytes: [UInt8]) { bytes.withUnsafeBytes { bind(column, copying: $0) } }

  /// Does not copy: `bytes` must stay where they are until the statement is reset.
  func bind(_ column: CInt, borrowing bytes: UnsafeRawBufferPointer) {
    guard let base = bytes.baseAddress, !bytes.isEmpty else {
      sqlite3_bind_zeroblob(handle, column, 0)
      return
    }
    sqlite3_bind_blob64(handle, column, base, sqlite3_uint64(bytes.count), nil)
  }

  /// Copies UTF-8 as TEXT.
  func bind(_ column: CInt, text utf8: [UInt8]) {
    utf8.withUnsafeBytes { raw in
      let base = raw.baseAddress?.assumingMemoryBound(to: CChar.self)
      // An empty array may have no base address; that would bind NULL.
      let code =
        base.map {
          sqlite3_bind_text64(handle, column, $0, sqlite3_uint64(raw.count), transientDestructor, utf8Encoding)
        }
        ?? sqlite3_bind_text(handle, column, "", 0, transientDestructor)
      assert(code == SQLITE_OK, "column \(column)")
    }
  }

  // MARK: Running

  /// - Returns: whether there is a row.
  @inline(__always) func step() throws(SQLiteFailure) -> Bool {
    let code = sqlite3_step(handle)
    if code == SQLITE_ROW { return true }
    if code == SQLITE_DONE { return false }
    throw failure()
  }

  /// Runs to the end and makes ready for the next run. Bindings stay.
  @inline(__always) func run() throws(SQLiteFailure) {
    _ = try step()
    sqlite3_reset(handle)
  }

  func reset() { sqlite3_reset(handle) }

  func failure() -> SQLiteFailure {
    let failure = SQLiteFailure(connection: sqlite3_db_handle(handle))
    sqlite3_reset(handle)
    return failure
  }

  // MARK: Columns, from 0

  @inline(__always) func int(_ column: CInt) -> Int64 { sqlite3_column_int64(handle, column) }
  @inline(__always) func bits(_ column: CInt) -> UInt64 { UInt64(bitPattern: int(column)) }
  @inline(__always) func isNull(_ column: CInt) -> Bool { sqlite3_column_type(handle, column) == SQLITE_NULL }
  @inline(__always) func isInteger(_ column: CInt) -> Bool { sqlite3_column_type(handle, column) == SQLITE_INTEGER }

  /// Valid until the next step or reset.
  @inline(__always) func raw(_ column: CInt) -> UnsafeRawBufferPointer {
    // The pointer before the count: fetching it may convert the value.
    let base = sqlite3_column_blob(handle, column)
    return UnsafeRawBufferPointer(start: base, count: Int(sqlite3_column_bytes(handle, column)))
  }

  func bytes(_ column: CInt) -> [UInt8] { [UInt8](raw(column)) }
  func string(_ column: CInt) -> String { String(decoding: raw(column), as: UTF8.self) }
}

/// What SQLite said, before it is known what that means for the caller.
struct SQLiteFailure: Error {
  /// Extended result code.
  let code: Int32
  let message: String

  init(connection: OpaquePointer?) {
    code = sqlite3_extended_errcode(connection)
    message = String(cString: sqlite3_errmsg(connection))
  }

  init(_ error: any Error) {
    if let error = error as? DatabaseError {
      code = error.extendedResultCode.rawValue
      message = error.message ?? "no message"
    } else {
      code = SQLITE_ERROR
      message = "\(error)"
    }
  }

  func asStoreError(path: String) -> StoreError {
    switch code & 0xff {
    case SQLITE_NOTADB: .notADatabase(path: path)
    case SQLITE_CORRUPT: .corrupt(path: path, message: message)
    case SQLITE_BUSY, SQLITE_LOCKED: .inUse(path: path)
    case SQLITE_FULL, SQLITE_IOERR, SQLITE_READONLY, SQLITE_CANTOPEN, SQLITE_NOMEM, SQLITE_PERM:
      .io(path: path, code: code, message: message)
    default: .sqlite(code: code, message: message)
    }
  }
}

// SQLITE_TRANSIENT is a cast in C that Swift does not import.
nonisolated(unsafe) private let transientDestructor = unsafeBitCast(-1, to: sqlite3_destructor_type.self)
private let utf8Encoding = UInt8(SQLITE_UTF8)
