import Foundation

extension Store {
  /// How long a reserved write-ahead log is: as far as it grows before a commit moves it into the main file, and what a
  /// large transaction may add to that. About 37 MB.
  static let reservedBytes = (checkpointPages + 512) * (pageBytes + frameHeaderBytes)
  private static let frameHeaderBytes = 24
  private static let reservedAtOnce = 1 << 20
  /// On a disk with less room than so many times what is reserved, the room is worth more than the time.
  private static let roomFactor: UInt64 = 8

  /// Makes the write-ahead log as long as it gets, so that commits overwrite it and do not make it longer.
  ///
  /// A sync of a file that has grown writes down where its new blocks are as well, in the file system's journal where
  /// there is one, for which all who grow files wait: that takes up to twice as long. What is written here are zeros,
  /// which SQLite takes for the end of its log as it does what an earlier round has left behind; blocks that were only
  /// set aside would be as slow as none. On a disk that is nearly full the log stays as it is and grows.
  ///
  /// For a node that runs for long; to be called before it serves.
  /// - Returns: bytes added; 0 if the log is long enough already, or cannot be made longer.
  /// - Throws: `closed`; `stopped` if the store only reads.
  /// - Complexity: O(bytes added) and one sync, 30 ms on a fast disk; once in a file's life.
  @discardableResult
  public func reserveLog() throws(StoreError) -> Int {
    // No transaction is under way: it would run on this thread.
    try perform { _ in }
    guard !isReadOnly, !isStopped else { throw .stopped }
    let descriptor = Foundation.open(path + "-wal", O_WRONLY | O_CLOEXEC)
    // SQLite makes the file when it needs it; its locks are on others, so closing this one lets none go.
    guard descriptor >= 0 else { return 0 }
    defer { _ = Foundation.close(descriptor) }
    let before = Int(lseek(descriptor, 0, SEEK_END))
    var disk = statvfs()
    guard before >= 0, before < Self.reservedBytes, fstatvfs(descriptor, &disk) == 0,
      UInt64(disk.f_bavail) * UInt64(disk.f_frsize) >= Self.roomFactor * UInt64(Self.reservedBytes)
    else { return 0 }
    let zeros = [UInt8](repeating: 0, count: Self.reservedAtOnce)
    var end = before
    while end < Self.reservedBytes {
      let written = pwrite(descriptor, zeros, min(zeros.count, Self.reservedBytes - end), off_t(end))
      guard written > 0 || errno == EINTR else { break }
      end += max(written, 0)
    }
    guard end == Self.reservedBytes, fdatasync(descriptor) == 0 else {
      // Nothing of the log was there.
      _ = ftruncate(descriptor, off_t(before))
      return 0
    }
    return end - before
  }
}
