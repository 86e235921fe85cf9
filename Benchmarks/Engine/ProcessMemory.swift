import Glibc

/// Memory of this process, as `/proc/self/status` tells it.
struct ProcessMemory: Hashable, Sendable {
  /// `VmRSS` in bytes.
  var resident: Int
  /// `VmHWM` in bytes: the most that was resident at any time.
  var peak: Int

  /// - Returns: nil if the system does not tell.
  static func now() -> ProcessMemory? {
    guard let text = SystemText.read("/proc/self/status"), let resident = SystemText.number("VmRSS", in: text),
      let peak = SystemText.number("VmHWM", in: text)
    else { return nil }
    return ProcessMemory(resident: resident * 1_024, peak: peak * 1_024)
  }
}

/// Small text files of `/proc`.
enum SystemText {
  private static let bytesMax = 1 << 16

  /// - Returns: nil if it cannot be read; its first 64 kB if it is longer.
  static func read(_ path: String) -> String? {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var bytes = [UInt8](repeating: 0, count: bytesMax)
    var used = 0
    while used < bytesMax {
      let room = bytesMax - used
      let count = bytes.withUnsafeMutableBytes { Glibc.read(descriptor, $0.baseAddress?.advanced(by: used), room) }
      if count < 0 && errno == EINTR { continue }
      if count < 0 { return nil }
      if count == 0 { break }
      used += count
    }
    return String(decoding: bytes[..<used], as: UTF8.self)
  }

  /// What follows `name:` on its line, without spaces at the ends.
  static func value(_ name: String, in text: String) -> String? {
    for line in text.split(separator: "\n") {
      guard let colon = line.firstIndex(of: ":"), line[..<colon].trimmed == name else { continue }
      return line[line.index(after: colon)...].trimmed
    }
    return nil
  }

  /// The number that follows `name:`.
  static func number(_ name: String, in text: String) -> Int? {
    value(name, in: text).flatMap { Int($0.split(separator: " ").first ?? "") }
  }
}

extension StringProtocol {
  fileprivate var trimmed: String {
    let isSpace: (Character) -> Bool = { $0 == " " || $0 == "\t" }
    return String(drop(while: isSpace).reversed().drop(while: isSpace).reversed())
  }
}

/// The machine and build that figures come from.
public struct Machine: Hashable, Sendable {
  public let processor: String
  public let processors: Int
  public let memoryBytes: Int
  public let kernel: String
  public let architecture: String
  /// A build with optimisation; figures of any other say nothing.
  public let isOptimised: Bool

  public static func here() -> Machine {
    var name = utsname()
    uname(&name)
    let cpuinfo = SystemText.read("/proc/cpuinfo") ?? ""
    let meminfo = SystemText.read("/proc/meminfo") ?? ""
    #if DEBUG
      let isOptimised = false
    #else
      let isOptimised = true
    #endif
    return Machine(
      processor: SystemText.value("model name", in: cpuinfo) ?? "unknown processor",
      processors: sysconf(Int32(_SC_NPROCESSORS_ONLN)),
      memoryBytes: (SystemText.number("MemTotal", in: meminfo) ?? 0) * 1_024,
      kernel: withUnsafeBytes(of: &name.release) { text($0) },
      architecture: withUnsafeBytes(of: &name.machine) { text($0) }, isOptimised: isOptimised)
  }

  private static func text(_ bytes: UnsafeRawBufferPointer) -> String {
    String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
  }
}
