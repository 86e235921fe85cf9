import Foundation

/// An advisory lock on a file next to the database, held as long as the store is open.
///
/// Not SQLite's exclusive locking mode, which would keep out a person with `sqlite3` as well. The kernel drops the lock
/// when the process ends, however it ends; the file stays.
final class StoreLock {
  private var descriptor: Int32

  /// - Throws: `StoreError.inUse` at once if the lock is held; `notWritable` if there can be no file.
  init(path: String, protecting database: String) throws(StoreError) {
    descriptor = Foundation.open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw .notWritable(path: path, reason: String(cString: strerror(errno))) }
    while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
      let reason = errno
      if reason == EINTR { continue }
      release()
      if reason == EWOULDBLOCK { throw .inUse(path: database) }
      throw .notWritable(path: path, reason: String(cString: strerror(reason)))
    }
  }

  deinit { release() }

  func release() {
    guard descriptor >= 0 else { return }
    // Unlocked, not only closed: a process that is being started has copies of all descriptors for a moment.
    _ = flock(descriptor, LOCK_UN)
    _ = Foundation.close(descriptor)
    descriptor = -1
  }
}
