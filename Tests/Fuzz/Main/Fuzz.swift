import CAllocations
import FuzzChecks
import Glibc

/// Runs one target under libFuzzer, or does what Scripts/fuzz needs besides. See `usage`.
@main struct Fuzz {
  private static let usage = """
    usage: fuzz list                              names of the targets
           fuzz seeds TARGET GOLDEN-FOLDER FOLDER writes the inputs that a target starts from
           fuzz check TARGET FILE...              runs the check on files, without libFuzzer
           fuzz TARGET [ARGUMENT...]              runs libFuzzer with its own arguments: -help=1 lists them

    """

  private static let targetVariable = "RIALTO_FUZZ_TARGET"

  // libFuzzer calls a C function without a context, in one thread.
  nonisolated(unsafe) private static var target: FuzzTarget?

  static func main() {
    var arguments = Array(CommandLine.arguments.dropFirst())
    // To merge, libFuzzer starts this program again and again, with its own arguments only.
    if let name = getenv(targetVariable) { fuzz(named(String(cString: name)), arguments) }
    guard !arguments.isEmpty else { stop(says: usage) }
    let command = arguments.removeFirst()
    switch command {
    case "list": for target in FuzzTarget.all { print(target.name) }
    case "seeds" where arguments.count == 3:
      let target = named(arguments[0])
      for (index, seed) in Seeds(goldenFolder: arguments[1]).inputs(of: target).enumerated() {
        write(seed, to: "\(arguments[2])/seed-\(index)")
      }
    case "check" where arguments.count >= 2:
      let target = named(arguments.removeFirst())
      for path in arguments { run(target, readFile(path)) }
    default: fuzz(named(command), arguments)
    }
  }

  private static func fuzz(_ target: FuzzTarget, _ arguments: [String]) -> Never {
    setenv(targetVariable, target.name, 1)
    Fuzz.target = target
    let isLimited = arguments.contains { $0.hasPrefix("-max_len=") }
    exit(runDriver(arguments + (isLimited ? [] : ["-max_len=\(target.bytesMax)"])))
  }

  private static func named(_ name: String) -> FuzzTarget {
    guard let target = FuzzTarget.all.first(where: { $0.name == name }) else {
      stop(says: "there is no target \(name)\n\n\(usage)")
    }
    return target
  }

  private static func stop(says text: String) -> Never {
    say(text)
    exit(2)
  }

  private static func runDriver(_ arguments: [String]) -> Int32 {
    let all = [CommandLine.arguments[0]] + arguments
    var pointers: [UnsafeMutablePointer<CChar>?] = all.map { strdup($0) } + [nil]
    var count = Int32(all.count)
    return pointers.withUnsafeMutableBufferPointer { buffer in
      var base = buffer.baseAddress
      return LLVMFuzzerRunDriver(&count, &base) { bytes, count in
        if let target = Fuzz.target { Fuzz.run(target, [UInt8](UnsafeBufferPointer(start: bytes, count: count))) }
        return 0
      }
    }
  }

  /// Ends the process, for libFuzzer to see, if the check finds something.
  private static func run(_ target: FuzzTarget, _ input: [UInt8]) {
    allocations_begin()
    do throws(Finding) {
      _ = try target.check(input)
    } catch {
      fail("\(target.name): \(error)")
    }
    let largest = allocations_end()
    let limit = target.allocationBytesFree + input.count * target.allocationBytesPerByte
    if largest > limit {
      fail("\(target.name): takes \(largest) bytes at once for an input of \(input.count); at most \(limit)")
    }
  }

  private static func fail(_ text: String) -> Never {
    say("\nFINDING: \(text)\n")
    abort()
  }
}

/// To standard error, which `Glibc` has as a variable that anybody may change.
func say(_ text: String) {
  _ = Array(text.utf8).withUnsafeBytes { Glibc.write(STDERR_FILENO, $0.baseAddress, $0.count) }
}

func readFile(_ path: String) -> [UInt8] {
  guard let file = fopen(path, "rb") else {
    say("cannot read \(path)\n")
    exit(2)
  }
  defer { fclose(file) }
  var bytes: [UInt8] = []
  var chunk = [UInt8](repeating: 0, count: 1 << 16)
  while case let count = fread(&chunk, 1, chunk.count, file), count > 0 { bytes += chunk[..<count] }
  return bytes
}

func write(_ bytes: [UInt8], to path: String) {
  guard let file = fopen(path, "wb"), fwrite(bytes, 1, bytes.count, file) == bytes.count, fclose(file) == 0 else {
    say("cannot write \(path)\n")
    exit(2)
  }
}
