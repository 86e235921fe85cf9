import ArgumentParser
import Client
import Foundation
import OrderBook
import Primitives
import Wire

/// Nodes that come, go, and stand still while a background cluster runs.
extension ClusterCommand {
  struct Add: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "add", abstract: "Start one more node of a background cluster; it joins as a member.",
      discussion: """
        It fetches what the others hold, takes the join mutex, and is a member one view change later. Nobody waits for
        it: orders are taken all the while.

        Example:
          rialto cluster add n4
        """)
    @Argument(help: "Its name, such as n4.") var name: String
    @OptionGroup var place: DirectoryOption

    func run() async throws {
      try await explaining {
        let directory = place.directory
        guard try !directory.running().isEmpty else { throw ClusterCommand.nothingRuns(place.dir) }
        try directory.add(name)
        let started = ContinuousClock.now
        let process: NodeProcess
        do {
          process = try await directory.start(name, attached: false)
        } catch {
          try directory.remove(name)
          throw error
        }
        let status = try await ClusterCommand.waitForMembership(process.address)
        let took = (ContinuousClock.now - started).milliseconds
        Output.result(
          "\(name) listens on \(process.address), a member of view \(status.view) after \(took) ms: "
            + status.members.joined(separator: ", "))
      }
    }
  }

  struct Remove: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "remove", abstract: "Let a node leave a background cluster, and end it; its files stay.",
      discussion: "It leaves as SIGTERM makes it: what it took becomes final first, and nobody waits for a timeout.")
    @Argument(help: "The node, such as n2.") var name: String
    @OptionGroup var place: DirectoryOption

    func run() async throws {
      try await explaining {
        try place.directory.knows(name)
        if let running = place.directory.node(name).running {
          kill(running.pid, SIGTERM)
          try await ClusterCommand.waitForEnd(running.pid, seconds: 10)
        }
        try place.directory.remove(name)
        Output.result("\(name) has left; its files stay in \(place.directory.node(name).path)")
      }
    }
  }

  struct Pause: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "pause", abstract: "Let a node of a background cluster stand still, as a stopped process does.",
      discussion: """
        The others notice after about 1.5 s of silence and go on without it; once resumed it finds out, and comes back
        as a new member.
        """)
    @Argument(help: "The node, such as n2.") var name: String
    @OptionGroup var place: DirectoryOption

    func run() throws {
      try explaining { try ClusterCommand.signal(name, place, SIGSTOP, "stands still") }
    }
  }

  struct Resume: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "resume", abstract: "Let a paused node go on.")
    @Argument(help: "The node, such as n2.") var name: String
    @OptionGroup var place: DirectoryOption

    func run() throws {
      try explaining { try ClusterCommand.signal(name, place, SIGCONT, "goes on") }
    }
  }

  private static func signal(_ name: String, _ place: DirectoryOption, _ signal: Int32, _ what: String) throws {
    try place.directory.knows(name)
    guard let running = place.directory.node(name).running else { throw CommandError("\(name) does not run") }
    guard kill(running.pid, signal) == 0 else { throw CommandError("process \(running.pid) cannot be signalled") }
    Output.result("\(name) \(what)")
  }

  private static func nothingRuns(_ path: String) -> CommandError {
    CommandError("no node of \(path) runs", advice: "Start them with `rialto cluster up --dir \(path)`.")
  }

  /// Waits until a node is a member and takes orders.
  private static func waitForMembership(_ address: String) async throws -> NodeStatus {
    guard let address = Address(address) else { throw CommandError("'\(address)' is no address") }
    let client = try await Connecting.connect(to: address, account: AccountID(1))
    var last: NodeStatus?
    for _ in 0..<1_500 {
      let status = try await client.status()
      last = status
      if status.origin != nil, status.ready { break }
      try await Task.sleep(for: .milliseconds(10))
    }
    await client.close()
    guard let last, last.origin != nil, last.ready else {
      throw CommandError(
        "the node runs but is no member after 15 s", advice: "Does a majority run? `rialto cluster status` shows it.")
    }
    return last
  }
}

extension Duration {
  /// Rounded down.
  fileprivate var milliseconds: Int64 {
    components.seconds * 1_000 + components.attoseconds / 1_000_000_000_000_000
  }
}
