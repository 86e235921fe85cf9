import Glibc

/// `swift run -c release Pipeline`: measures, prints, exits.
///
/// Exit codes: 0 measured; 1 two ways to the same book disagree; 2 the arguments make no sense.
@main
struct PipelineCommand {
  static let usage = """
    usage: Pipeline [--operations N] [--seed X] [--json]
      --operations N  operations of a random flow, 1 to 100000000 (default: 1000000)
      --seed X        its seed (default: 1)
      --json          print the result as one JSON object on one line
    """

  var operations = 1_000_000
  var seed: UInt64 = 1
  var isJSON = false

  /// - Returns: nil if the arguments make no sense.
  init?(_ arguments: [String]) {
    var rest = arguments[...]
    while let name = rest.popFirst() {
      switch name {
      case "--json": isJSON = true
      case "--operations":
        guard let value = rest.popFirst().flatMap({ Int($0) }), (1...100_000_000).contains(value) else { return nil }
        operations = value
      case "--seed":
        guard let value = rest.popFirst().flatMap({ UInt64($0) }) else { return nil }
        seed = value
      default: return nil
      }
    }
  }

  static func main() {
    let arguments = Array(CommandLine.arguments.dropFirst())
    if arguments.contains("--help") {
      print(usage)
      return
    }
    guard let command = PipelineCommand(arguments) else {
      complain(usage)
      exit(2)
    }
    do throws(PipelineError) {
      let report = try Pipeline(operations: command.operations, seed: command.seed).measure()
      print(command.isJSON ? report.json : report.table.joined(separator: "\n"))
    } catch {
      complain("error: \(error)")
      exit(1)
    }
  }

  private static func complain(_ text: String) {
    let line = Array((text + "\n").utf8)
    _ = line.withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
  }
}
