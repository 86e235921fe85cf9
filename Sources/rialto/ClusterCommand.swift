import ArgumentParser
import Flow
import Foundation

/// `rialto cluster`: several nodes in processes of their own on this machine.
struct ClusterCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "cluster",
    abstract: "Run a cluster of local processes: for a demonstration, a test, an experiment.",
    subcommands: [
      Run.self, Up.self, Status.self, Add.self, Remove.self, Pause.self, Resume.self, Partition.self, Heal.self,
      Corrupt.self,
      Kill.self, Restart.self, Down.self,
    ],
    defaultSubcommand: Run.self)

  static let directoryDefault = "rialto-cluster"
}

extension ClusterCommand {
  struct Run: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "run",
      abstract: "Start nodes, trade, wait until all agree, print the summary, end everything.",
      discussion: """
        The flow goes to all nodes in turn: 'random' (for --seconds), or a CSV file as 'rialto replay' reads it, to its
        end. Without --rate, as fast as answers come, up to 1,000 unanswered at each node. A table shows each second
        what every node holds.

        Examples:
          rialto cluster run --nodes 3 --seconds 20
          rialto cluster run --nodes 5 --fanout 2 --seed 7 --json
          rialto cluster run --nodes 3 --flow orders.csv --causal
          rialto cluster run --nodes 3 --mix all
          rialto cluster run --nodes 3 --chaos kill

        Exit codes: 0 all nodes hold the same book (and, with --chaos, every acknowledged order); 1 they do not, or the
        run was interrupted; 2 could not.
        """)

    @Option(help: "Nodes to run.") var nodes = 3
    @Option(help: "Time of a random flow, in seconds.") var seconds: Int?
    @Option(help: "'random', or a CSV file of operations.") var flow = "random"
    @Option(help: "Which orders the random flow has: basic, or all there are, of four accounts.")
    var mix: RandomFlow.Mix = .basic
    @Option(help: "Operations per second to all nodes together; without it, as fast as answers come.") var rate: Int?
    @Option(help: "Peers that a new batch is offered to.") var fanout = 3
    @Option(help: "Seed of the flow and of the nodes; without it, a new one that is printed.") var seed: UInt64?
    @Flag(help: "Wait for each answer and pass its stamp on, so that the flow's order is the total order.")
    var causal = false
    @Option(help: "'kill' kills and restarts each node in turn while the flow runs.") var chaos: String?
    @Option(help: "Directory for the nodes' files, kept; without it, a temporary one that is removed.") var dir: String?
    @Option(help: "Least level that nodes log to their files.") var logLevel = "warning"
    @Flag(help: "Print the result as one JSON object on one line.") var json = false

    func validate() throws {
      guard (1...64).contains(nodes) else { throw ValidationError("--nodes must be between 1 and 64.") }
      for (name, value) in [("seconds", seconds), ("rate", rate), ("fanout", fanout)] {
        if let value, value < 1 { throw ValidationError("--\(name) must be at least 1.") }
      }
      guard chaos == nil || chaos == "kill" else { throw ValidationError("--chaos must be 'kill'.") }
      if mix != .basic, flow != "random" {
        throw ValidationError("--mix is for a random flow; a file says what it has.")
      }
      if chaos != nil, nodes < 2 { throw ValidationError("--chaos kill needs at least two nodes.") }
    }

    func run() async throws {
      try await explaining {
        let summary = try await ClusterRun(options: self).run()
        if json { Output.result(summary.json.text) } else { summary.tell() }
        if !summary.isGood { throw ExitCode.notGood }
      }
    }
  }

  struct DirectoryOption: ParsableArguments {
    @Option(help: "Directory of the cluster.") var dir = ClusterCommand.directoryDefault
    var directory: ClusterDirectory { ClusterDirectory(path: dir) }
  }

  struct Up: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "up",
      abstract: "Start a cluster in the background, in a directory; what ran there before goes on from its files.",
      discussion: "Example:\n  rialto cluster up --nodes 3\n  rialto cluster status\n  rialto cluster down")
    @Option(help: "Nodes of a new cluster. (default: 3)") var nodes: Int?
    @Option(help: "In a new cluster, peers that a new batch is offered to. (default: 3)") var fanout: Int?
    @Option(help: "In a new cluster, least level that nodes log to their files. (default: info)") var logLevel: String?
    @OptionGroup var place: DirectoryOption
    @Flag(help: "Print the result as one JSON object on one line.") var json = false

    func validate() throws {
      guard (1...64).contains(nodes ?? 3), fanout ?? 3 >= 1 else {
        throw ValidationError("--nodes must be between 1 and 64, --fanout at least 1.")
      }
    }

    func run() async throws {
      try await explaining {
        let directory = place.directory
        if let there = try? directory.settings() {
          if nodes ?? there.nodes != there.nodes || fanout ?? there.fanout != there.fanout {
            throw CommandError(
              "\(directory.path) holds a cluster of \(there.nodes) nodes with fanout \(there.fanout)",
              advice: "Leave the options out to start it again, or name another --dir.")
          }
        } else {
          try directory.create(
            .init(nodes: nodes ?? 3, fanout: fanout ?? 3, seed: 0, logLevel: logLevel ?? "info"))
        }
        for name in try directory.settings().names where directory.node(name).running == nil {
          let process = try await directory.start(name, attached: false)
          Output.note("\(name) listens on \(process.address)")
        }
        let running = try directory.running()
        let list = running.map(\.address).joined(separator: ",")
        if json {
          var line = JSONLine()
          line.add("directory", directory.path)
          line.add("nodes", running.map(\.json))
          Output.result(line.text)
        } else {
          Output.result("\(running.count) nodes run in \(directory.path). Next: rialto flow random --to \(list)")
        }
      }
    }
  }

  struct Status: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "status", abstract: "Show the nodes of a background cluster, and whether they agree.")
    @OptionGroup var place: DirectoryOption
    @Flag(help: "Print the result as one JSON object on one line.") var json = false

    func run() async throws {
      let running = try running()
      var arguments = ["--to", running.map(\.address).joined(separator: ",")]
      if json { arguments.append("--json") }
      let status = try StatusCommand.parse(arguments)
      try await status.run()
    }

    private func running() throws -> [RunningNode] {
      var running: [RunningNode] = []
      try explaining {
        running = try place.directory.running()
        let names = try place.directory.settings().names
        let down = names.filter { name in !running.contains { $0.name == name } }
        if !down.isEmpty { Output.note("not running: \(down.joined(separator: ", "))") }
        if running.isEmpty {
          throw CommandError(
            "no node of \(place.dir) runs", advice: "Start them with `rialto cluster up --dir \(place.dir)`.")
        }
      }
      return running
    }
  }

  struct Kill: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "kill", abstract: "Kill a node of a background cluster, as kill -9 does.")
    @Argument(help: "The node, such as n2.") var name: String
    @OptionGroup var place: DirectoryOption

    func run() async throws {
      try await explaining {
        try place.directory.knows(name)
        guard let running = place.directory.node(name).running else { throw CommandError("\(name) does not run") }
        kill(running.pid, SIGKILL)
        try await ClusterCommand.waitForEnd(running.pid, seconds: 5)
        Output.result("\(name) was killed")
      }
    }
  }

  struct Restart: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "restart", abstract: "Start a node of a background cluster, after ending it if it runs.")
    @Argument(help: "The node, such as n2.") var name: String
    @OptionGroup var place: DirectoryOption

    func run() async throws {
      try await explaining {
        try place.directory.knows(name)
        if let running = place.directory.node(name).running {
          kill(running.pid, SIGINT)
          try await ClusterCommand.waitForEnd(running.pid, seconds: 5)
        }
        let process = try await place.directory.start(name, attached: false)
        Output.result("\(name) listens on \(process.address)")
      }
    }
  }

  struct Down: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "down", abstract: "End a background cluster; its files stay unless told otherwise.")
    @OptionGroup var place: DirectoryOption
    @Flag(help: "Remove the directory, too.") var remove = false

    func run() async throws {
      try await explaining {
        let running = try place.directory.running()
        for node in running { kill(node.pid, SIGINT) }
        for node in running { try await ClusterCommand.waitForEnd(node.pid, seconds: 5) }
        if remove { try FileManager.default.removeItem(atPath: place.dir) }
        Output.result(
          "\(running.count) nodes ended\(remove ? ", \(place.dir) removed" : "; their files stay in \(place.dir)")")
      }
    }
  }

  static func waitForEnd(_ pid: Int32, seconds: Int) async throws {
    for _ in 0..<(seconds * 100) {
      if !ProcessTable.isAlive(pid) { return }
      try await Task.sleep(for: .milliseconds(10))
    }
    throw CommandError("process \(pid) does not end", advice: "End it with kill -9 \(pid).")
  }
}

extension RunningNode {
  var json: JSONLine {
    var line = JSONLine()
    line.add("name", name)
    line.add("address", address)
    line.add("pid", Int(pid))
    return line
  }
}
