import EngineBenchmark

/// What is measured, and how much of it.
struct EngineBenchPlan {
  var seed: UInt64
  var repetitions: Int
  var isQuick = false
  var workloads: [String] = []
  var parts = BenchCommand.EnginePart.allCases

  /// Of each own flow: operations that fill the book, and operations that are measured.
  var preludeOperations = FlowModel.preludeSteps
  var flowOperations = 1_000_000
  var latencyRepetitions = 3
  /// Smallest first: the others are compared with it.
  var scaleOrders = [10_000, 100_000, 1_000_000, 10_000_000]
  var roundOperations = 1_000_000
  var hashOrders = 1_000_000
  /// However few others are asked for: each takes milliseconds.
  var hashRepetitions = 20

  init(seed: UInt64, repetitions: Int) {
    self.seed = seed
    self.repetitions = repetitions
    latencyRepetitions = min(latencyRepetitions, repetitions)
    hashRepetitions = max(hashRepetitions, repetitions)
  }

  /// A fraction of everything. The prelude stays: without it no table has grown.
  mutating func makeQuick() {
    isQuick = true
    flowOperations = 200_000
    latencyRepetitions = 1
    scaleOrders = [10_000, 100_000, 1_000_000]
    roundOperations = 200_000
    hashOrders = 100_000
  }

  func has(_ part: BenchCommand.EnginePart) -> Bool { parts.contains(part) }

  func flow(_ shape: FlowShape) -> EngineFlow {
    FlowModel.flow(shape, seed: seed, preludeSteps: preludeOperations, measuredSteps: flowOperations)
  }
}

/// Measures one part after the other.
struct EngineBenchRun {
  let plan: EngineBenchPlan
  /// Is told what is done next.
  var progress: (String) -> Void = Output.note

  func run() throws -> EngineBenchReport {
    var report = EngineBenchReport(plan: plan, machine: .here())
    if !report.machine.isOptimised { progress("this is a debug build: its figures say nothing") }
    // Files first, so that one that cannot be read is found early.
    let files = try plan.workloads.map { measure(try readWorkload($0)) }
    if plan.has(.flows) { report.flows = FlowShape.allCases.map { measure(plan.flow($0)) } }
    report.flows += files
    if plan.has(.latency) {
      progress("latency: normal, \(plan.latencyRepetitions) times")
      report.latency = LatencyMeasurement(plan.flow(.normal), repetitions: plan.latencyRepetitions).measure()
    }
    if plan.has(.scale) {
      let children = ScaleChildren(
        orders: plan.scaleOrders, operations: plan.roundOperations, rounds: plan.repetitions, seed: plan.seed)
      report.scale = try children.measure(progress: progress)
    }
    if plan.has(.hash) {
      for shape in HashShape.standard(orders: plan.hashOrders) {
        progress("book hash: \(shape.name), \(plan.hashRepetitions) times")
        report.hashes.append(HashMeasurement(shape, repetitions: plan.hashRepetitions, seed: plan.seed).measure())
      }
    }
    if plan.has(.instructions) { try countInstructions(&report) }
    return report
  }

  private func measure(_ flow: EngineFlow) -> ThroughputReport {
    progress("flow: \(flow.name), \(flow.measuredSteps.grouped) operations, \(plan.repetitions) times")
    return FlowMeasurement(flow, repetitions: plan.repetitions).measure()
  }

  private func countInstructions(_ report: inout EngineBenchReport) throws {
    guard let valgrind = InstructionsChild.valgrind else {
      report.instructionsNote = "not counted: there is no valgrind here (apt-get install valgrind)"
      return
    }
    for shape in [FlowShape.normal, .mixed] {
      progress("instructions: \(shape.rawValue), \(plan.flowOperations.grouped) operations under valgrind")
      let child = InstructionsChild(
        shape: shape, preludeOperations: plan.preludeOperations, operations: plan.flowOperations, seed: plan.seed)
      report.instructions.append(try child.measure(valgrind: valgrind))
    }
  }

  private func readWorkload(_ path: String) throws -> EngineFlow {
    let name = path.split(separator: "/").last.map(String.init) ?? path
    let bytes = try Files.read(path)
    do throws(WorkloadFileError) {
      return try WorkloadFile.flow(name: name, bytes)
    } catch {
      throw CommandError("\(path): \(error)", advice: "Is it a file of flash1-dev/matching-engine-benchmark?")
    }
  }
}
