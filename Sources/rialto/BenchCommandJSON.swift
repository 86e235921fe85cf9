import EngineBenchmark

extension EngineBenchReport {
  /// Integers only, with the unit at the end of each name.
  var json: JSONLine {
    var line = JSONLine()
    line.add("good", failures.isEmpty)
    line.add("failures", failures)
    line.add("machine", machineJSON)
    line.add("seed", plan.seed)
    line.add("repetitions", plan.repetitions)
    line.add("quick", plan.isQuick)
    line.add("clock_reading_ns", clockNanoseconds)
    line.add("flows", flows.map(json))
    if let latency { line.add("latency", json(latency)) }
    line.add("scale", scale.map(json))
    line.add("hash", hashes.map(json))
    line.add("instructions", instructions.map(json))
    line.add("instructions_note", instructionsNote)
    return line
  }

  private var machineJSON: JSONLine {
    var line = JSONLine()
    line.add("processor", machine.processor)
    line.add("processors", machine.processors)
    line.add("memory_bytes", machine.memoryBytes)
    line.add("kernel", machine.kernel)
    line.add("architecture", machine.architecture)
    line.add("release_build", machine.isOptimised)
    return line
  }

  private func json(_ flow: ThroughputReport) -> JSONLine {
    var line = JSONLine()
    line.add("flow", flow.name)
    line.add("flow_hash", flow.flowHash.description)
    line.add("prelude_operations", flow.preludeSteps)
    line.add("operations", flow.steps)
    line.add("orders", flow.mix.orders)
    line.add("immediate_orders", flow.mix.immediateOrders)
    line.add("cancels", flow.mix.cancels)
    line.add("amends", flow.mix.amends)
    line.add("operations_per_second", flow.engineRate)
    line.add("operation_ps", Self.picoseconds(flow.engineNanoseconds, flow.steps))
    line.add("operation_levels_ps", Self.picoseconds(flow.levelsNanoseconds, flow.steps))
    if let rate = flow.referenceRate { line.add("reference_operations_per_second", rate) }
    if let ratio = flow.ratioHundredths { line.add("ratio_percent", ratio) }
    line.add("runs", flow.engineNanoseconds.indices.map { run(flow, $0) })
    line.add("fills", flow.outcome.fills)
    line.add("traded_lots", flow.outcome.tradedLots)
    line.add("refused", flow.outcome.refused)
    line.add("resting_orders", flow.outcome.restingOrders)
    line.add("open_buy_lots", flow.outcome.openBuyLots)
    line.add("open_sell_lots", flow.outcome.openSellLots)
    line.add("book_hash", flow.bookHash.description)
    line.add("events_hash", flow.eventsHash.description)
    line.add("fills_hash", flow.outcome.fillsHash.description)
    line.add("repeatable", flow.isRepeatable)
    if flow.referenceOutcome != nil { line.add("equals_reference", flow.agrees) }
    return line
  }

  private func run(_ flow: ThroughputReport, _ index: Int) -> JSONLine {
    var line = JSONLine()
    line.add("engine_ns", flow.engineNanoseconds[index])
    line.add("levels_ns", flow.levelsNanoseconds[index])
    if index < flow.referenceNanoseconds.count { line.add("reference_ns", flow.referenceNanoseconds[index]) }
    return line
  }

  private func json(_ latency: LatencyReport) -> JSONLine {
    var line = JSONLine()
    line.add("flow", latency.name)
    line.add("operations", latency.operations)
    line.add("runs", latency.repetitions)
    line.add("clock", latency.clockName)
    line.add("clock_reading_ns", latency.clockNanoseconds)
    line.add("engine", json(latency.engine))
    line.add("reference", json(latency.reference))
    line.add("batch_operations", latency.batchSteps)
    line.add("batch_end", json(latency.batchEnd))
    return line
  }

  private func json(_ values: LatencyReport.Percentiles) -> JSONLine {
    var line = JSONLine()
    line.add("p50_ns", values.p50)
    line.add("p99_ns", values.p99)
    line.add("p999_ns", values.p999)
    line.add("max_ns", values.max)
    return line
  }

  private func json(_ scale: Scale) -> JSONLine {
    var line = JSONLine()
    line.add("orders", scale.orders)
    line.add("levels", ScaleMeasurement.levels)
    line.add("accounts", ScaleMeasurement.accounts)
    if let bytes = scale.residentBytes {
      line.add("resident_bytes", bytes)
      line.add("bytes_per_1000_orders", bytes * 1_000 / scale.orders)
    }
    if let bytes = scale.peakBytes { line.add("peak_bytes", bytes) }
    line.add("operations", scale.operations)
    line.add("operation_ps", scale.picosecondsPerOperation)
    line.add("cost_percent", costHundredths(scale))
    line.add("resting_orders", scale.restingOrders)
    line.add("book_hash", scale.bookHash.description)
    return line
  }

  private func json(_ hash: HashReport) -> JSONLine {
    var line = JSONLine()
    line.add("shape", hash.shape.name)
    line.add("orders", hash.shape.orders)
    line.add("levels", hash.shape.levels)
    line.add("changed_within_levels", hash.shape.nearest ?? hash.shape.levels)
    line.add("changes", hash.changes)
    line.add("hashes", hash.nanoseconds.count)
    line.add("median_ns", hash.nanoseconds.sorted()[hash.nanoseconds.count / 2])
    line.add("max_ns", hash.nanoseconds.max() ?? 0)
    line.add("first_ns", hash.firstNanoseconds)
    line.add("recomputed_ns", hash.recomputedNanoseconds.sorted()[hash.recomputedNanoseconds.count / 2])
    line.add("equals_recomputed", hash.isRight)
    line.add("book_hash", hash.bookHash.description)
    return line
  }

  private func json(_ run: Instructions) -> JSONLine {
    var line = JSONLine()
    line.add("flow", run.flow)
    line.add("operations", run.operations)
    line.add("instructions", run.profile.applying.instructions)
    line.add("allocations", run.profile.applying.allocations)
    line.add("levels_instructions", run.profile.takingLevels.instructions)
    line.add("levels_allocations", run.profile.takingLevels.allocations)
    line.add("allocators", run.profile.allocators.map { "\($0.calls) \($0.function)" })
    line.add("book_hash", run.bookHash.description)
    return line
  }
}
