import Foundation

/// A directory of its own for one test; gone when the last reference is.
final class ScratchDirectory: Sendable {
  let path: String
  init() throws {
    path = NSTemporaryDirectory() + "rialto-history-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }
  deinit { try? FileManager.default.removeItem(atPath: path) }
}
