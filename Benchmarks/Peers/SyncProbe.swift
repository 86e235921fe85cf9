import Foundation

/// What a small synced write costs on a disk: 100 bytes appended, then `fdatasync`.
public final class SyncProbe: Sendable {
  public static let bytes = 100
  private let descriptor: Int32
  private let path: String
  private let content = [UInt8](repeating: 0x5a, count: SyncProbe.bytes)

  public init(directory: String) throws {
    path = directory + "/sync-probe"
    descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw PeerError("\(path): \(String(cString: strerror(errno)))") }
  }

  deinit {
    close(descriptor)
    unlink(path)
  }

  public func write() throws {
    let count = content.withUnsafeBytes { Foundation.write(descriptor, $0.baseAddress, $0.count) }
    guard count == Self.bytes, fdatasync(descriptor) == 0 else {
      throw PeerError("\(path): \(String(cString: strerror(errno)))")
    }
  }
}
