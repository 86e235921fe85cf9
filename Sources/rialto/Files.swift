import Glibc

/// Reads and writes of whole files, with errors that name the file.
enum Files {
  private static let chunkBytes = 1 << 20
  private static let readAdvice = "give the path of a readable file, or - for stdin"

  /// The whole content of `path`, or of stdin for `-`.
  static func read(_ path: String) throws -> [UInt8] {
    guard path != "-" else { return try readAll(STDIN_FILENO, name: "stdin") }
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw failure("cannot read \(path)", advice: readAdvice) }
    defer { close(descriptor) }
    return try readAll(descriptor, name: path)
  }

  private static func readAll(_ descriptor: Int32, name: String) throws -> [UInt8] {
    var bytes: [UInt8] = []
    var status = stat()
    if fstat(descriptor, &status) == 0, status.st_size > 0 { bytes.reserveCapacity(Int(status.st_size) + 1) }
    let chunk = UnsafeMutableRawBufferPointer.allocate(byteCount: chunkBytes, alignment: 16)
    defer { chunk.deallocate() }
    while true {
      let count = Glibc.read(descriptor, chunk.baseAddress, chunk.count)
      if count == 0 { return bytes }
      if count < 0 {
        if errno == EINTR { continue }
        throw failure("cannot read \(name)", advice: readAdvice)
      }
      bytes.append(contentsOf: UnsafeRawBufferPointer(rebasing: chunk[..<count]))
    }
  }

  /// Fails when nobody reads any more.
  static func writeToStdout(_ bytes: [UInt8]) throws { try write(bytes, to: STDOUT_FILENO, name: "stdout") }

  fileprivate static func write(_ bytes: [UInt8], to descriptor: Int32, name: String) throws {
    try bytes.withUnsafeBytes { buffer in
      var start = 0
      while start < buffer.count {
        let count = Glibc.write(descriptor, buffer.baseAddress?.advanced(by: start), buffer.count - start)
        if count < 0 {
          if errno == EINTR { continue }
          throw failure("cannot write \(name)")
        }
        start += count
      }
    }
  }

  /// The last system call's error in words, after `what`.
  static func failure(_ what: String, advice: String? = nil) -> CommandError {
    CommandError("\(what): \(String(cString: strerror(errno)))", advice: advice)
  }
}

/// A file that appears whole or not at all: written beside its place, then renamed.
///
/// What is not a regular file (a pipe), or is only a name for something open (`/dev/stdout`), is written directly.
final class AtomicFile {
  private let path: String
  private let temporary: String?
  private var descriptor: Int32

  /// Fails here rather than after the work, if the file cannot be written.
  init(_ path: String) throws {
    var status = stat()
    let exists = stat(path, &status) == 0
    // `/dev/stdout` may lead to a regular file, which somebody else holds open: never put another in its place.
    let isBorrowed = path.hasPrefix("/dev/") || path.hasPrefix("/proc/")
    if exists, isBorrowed || status.st_mode & S_IFMT != S_IFREG {
      self.path = path
      temporary = nil
      switch path {
      // Opened anew it would be written from its start.
      case "/dev/stdout": descriptor = dup(STDOUT_FILENO)
      case "/dev/stderr": descriptor = dup(STDERR_FILENO)
      default: descriptor = open(path, O_WRONLY | O_APPEND | O_CLOEXEC)
      }
    } else {
      // A link stays a link, to the new content.
      let target = exists ? Self.resolved(path) : path
      let temporary = "\(target).\(getpid()).partial"
      self.path = target
      self.temporary = temporary
      descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o666)
      if exists, descriptor >= 0 { fchmod(descriptor, status.st_mode & 0o777) }
    }
    guard descriptor >= 0 else {
      throw Files.failure("cannot write \(path)", advice: "give a path in a folder that exists and may be written")
    }
  }

  deinit {
    if descriptor >= 0 { close(descriptor) }
    if let temporary { unlink(temporary) }
  }

  func write(_ bytes: [UInt8]) throws { try Files.write(bytes, to: descriptor, name: path) }

  /// Puts the file in its place; nothing may be written after it.
  func commit() throws {
    guard let temporary else { return }
    guard fsync(descriptor) == 0, close(descriptor) == 0 else { throw Files.failure("cannot write \(path)") }
    descriptor = -1
    guard rename(temporary, path) == 0 else { throw Files.failure("cannot write \(path)") }
  }

  private static func resolved(_ path: String) -> String {
    guard let real = realpath(path, nil) else { return path }
    defer { free(real) }
    return String(cString: real)
  }
}
