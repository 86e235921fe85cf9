import ArgumentParser
import EngineBenchmark
import Glibc

/// `rialto bench`: figures of this machine, each with the result that it came from.
struct BenchCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench",
    abstract: "Measure parts of Rialto on this machine.",
    subcommands: [Engine.self, Detect.self, Join.self, Latency.self, Diff.self, EngineChild.self])
}

extension BenchCommand {
  /// What `bench engine` measures, and `--skip` leaves out.
  enum EnginePart: String, CaseIterable, ExpressibleByArgument {
    case flows
    case latency
    case scale
    case hash
    case instructions
  }

  struct Engine: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "engine",
      abstract: "Measure the matching engine, journal and marks on, against a plain C++ book in the same run.",
      discussion: """
        Parts, each of which --skip leaves out:
          flows         operations a second: four flows made from the seed
          latency       time of single operations
          scale         memory of a resting order; cost of an operation among
                        10,000 to 10,000,000 of them
          hash          the book hash after 1,000 changes among a million orders
          instructions  instructions and memory allocations of an operation,
                        counted by valgrind if it is there

        The undo journal and the tracking of changed levels are on. Times are CPU
        time of one thread where nothing else is said; engine and reference take
        turns, and medians are given. A whole run takes one or two minutes and up
        to 2 GB of memory; --quick takes less of both and gives rougher figures.

        A workload file is one of flash1-dev/matching-engine-benchmark.

        Examples:
          rialto bench engine
          rialto bench engine --quick --skip scale --skip hash
          rialto bench engine --workload orders_normal_s23_n1000000.bin --json

        Exit codes: 0 all results are as they should be (the same each time, equal
        to the reference's and to the recomputed hash, no allocation); 1 one is
        not; 2 could not.
        """)

    @Flag(help: "Print the result as one JSON object on one line.") var json = false
    @Flag(help: "Measure less, and so less precisely.") var quick = false
    @Option(help: "Seed of the flows and of the books.") var seed: UInt64 = 1
    @Option(
      name: .customLong("workload"),
      help: ArgumentHelp("Measure the flow of this file too; once for each file.", valueName: "file"))
    var workloads: [String] = []
    @Option(help: "Repetitions of what is timed; without it 5, with --quick 3.") var repetitions: Int?
    @Option(
      name: .customLong("skip"),
      help: ArgumentHelp("Leave a part out (\(partNames)); once for each part.", valueName: "part"))
    var skipped: [EnginePart] = []

    static let partNames = EnginePart.allCases.map(\.rawValue).joined(separator: ", ")

    func validate() throws {
      guard (1...1_000).contains(repetitions ?? 1) else {
        throw ValidationError("--repetitions must be between 1 and 1,000.")
      }
    }

    func run() throws {
      // Whoever writes to a process that has ended is to get an error.
      signal(SIGPIPE, SIG_IGN)
      try explaining {
        var plan = EngineBenchPlan(seed: seed, repetitions: repetitions ?? (quick ? 3 : 5))
        plan.workloads = workloads
        plan.parts = EnginePart.allCases.filter { !skipped.contains($0) }
        if quick { plan.makeQuick() }
        let report = try EngineBenchRun(plan: plan).run()
        if json { Output.result(report.json.text) } else { report.lines.forEach(Output.result) }
        for failure in report.failures { Output.errorLine(failure) }
        if !report.failures.isEmpty { throw ExitCode.notGood }
      }
    }
  }

  /// Processes that `bench engine` starts: what they measure must not be mixed with anything else.
  struct EngineChild: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "engine-child", abstract: "A process of `bench engine`.", shouldDisplay: false,
      subcommands: [Scale.self, Instructions.self])

    /// Runs such a process and ends it, if that is what the arguments ask for: first of all, on the main thread.
    ///
    /// As a command among others it would run while the main thread waits in libdispatch, as it does below any `async`
    /// main: valgrind cannot run that before version 3.20.
    static func runIfAsked() {
      let arguments = CommandLine.arguments.dropFirst()
      guard arguments.starts(with: ["bench", "engine-child"]) else { return }
      main(Array(arguments.dropFirst(2)))
      exit(withError: nil)
    }

    /// Fills a book; then a round for each line on stdin, until it is closed.
    struct Scale: ParsableCommand {
      @Option var orders: Int
      @Option var operations: Int
      @Option var rounds: Int
      @Option var seed: UInt64

      func validate() throws {
        guard (1...ScaleMeasurement.ordersMax).contains(orders), (1...100_000_000).contains(operations),
          (1...1_000).contains(rounds)
        else { throw ValidationError("out of range") }
      }

      func run() throws {
        var measurement = ScaleMeasurement(orders: orders, roundOperations: operations, rounds: rounds, seed: seed)
        Output.result("\(measurement.residentBytes ?? -1) \(measurement.peakBytes ?? -1)")
        for _ in 0..<rounds where readLine() != nil {
          Output.result("\(measurement.round()) \(measurement.roundOperations)")
        }
        if readLine() != nil { Output.result("\(measurement.restingOrders) \(measurement.bookHash())") }
      }
    }

    /// Runs a flow for a profiler.
    struct Instructions: ParsableCommand {
      @Option var flow: String
      @Option var prelude: Int
      @Option var operations: Int
      @Option var seed: UInt64

      func validate() throws {
        guard FlowShape(rawValue: flow) != nil, (0...100_000_000).contains(prelude),
          (1...100_000_000).contains(operations)
        else { throw ValidationError("out of range") }
      }

      func run() throws {
        guard let shape = FlowShape(rawValue: flow) else { return }
        let flow = FlowModel.flow(shape, seed: seed, preludeSteps: prelude, measuredSteps: operations)
        Output.result("\(ProfiledRun.run(flow))")
      }
    }
  }
}
