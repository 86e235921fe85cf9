import ArgumentParser
import Dispatch
import Node

@main
struct Rialto: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rialto",
    abstract: "A peer-to-peer order book: every node holds it all, takes orders, matches them and gossips.",
    discussion: """
      Results go to stdout (with --json, one object on one line, the last one), tables and progress to stderr.
      Exit codes: 0 done and good; 1 done and not good; 2 could not be done.

      Start here:  rialto cluster run --nodes 3 --seconds 20
      """,
    version: NodeConfiguration.version,
    subcommands: [
      ReplayCommand.self, NodeCommand.self, ClusterCommand.self, FlowCommand.self, OrderCommand.self, BookCommand.self,
      TradesCommand.self, StatusCommand.self, InstrumentCommand.self, KeyCommand.self, GenesisCommand.self,
      DiffCommand.self, HashCommand.self, ExplainCommand.self, FindingsCommand.self, VerifyCommand.self,
      LogCommand.self, BenchCommand.self, SimulateCommand.self,
    ])

  /// Not `async`: valgrind 3.19 cannot run a program whose main thread waits in libdispatch.
  static func main() {
    BenchCommand.EngineChild.runIfAsked()
    Task { await Self.runAndExit() }
    dispatchMain()
  }
}
