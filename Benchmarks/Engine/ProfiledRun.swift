import CBenchmark
import OrderBook
import Primitives

/// A flow, run once for a profiler that counts within two functions of known names only.
public enum ProfiledRun {
  /// Applies a batch and settles it.
  public static let applyFunction = "rialto_bench_engine_apply"
  /// Takes the changed levels after a batch.
  public static let levelsFunction = "rialto_bench_engine_levels"

  /// What valgrind is to be told before the program and its arguments.
  /// - Parameter outputPath: `CallgrindProfile` reads this file.
  public static func valgrindArguments(outputPath: String) -> [String] {
    [
      "--tool=callgrind", "--quiet", "--callgrind-out-file=\(outputPath)", "--toggle-collect=\(applyFunction)",
      "--toggle-collect=\(levelsFunction)", "--separate-callers=\(CallgrindProfile.callersKept)",
    ]
  }

  /// The flow's prelude runs outside of the two functions, and grows every table; the measured steps run within.
  /// - Returns: the book hash at the end.
  public static func run(_ flow: EngineFlow) -> Hash256 {
    let lane = UnsafeMutablePointer<EngineLane>.allocate(capacity: 1)
    lane.initialize(to: EngineLane())
    defer {
      lane.deinitialize(count: 1)
      lane.deallocate()
    }
    for range in flow.batches {
      lane.pointee.prepare(flow, range)
      if range.lowerBound < flow.preludeSteps {
        lane.pointee.applyBatch()
        lane.pointee.takeLevels()
      } else {
        rialto_bench_engine_apply({ $0.assumingMemoryBound(to: EngineLane.self).pointee.applyBatch() }, lane)
        rialto_bench_engine_levels({ $0.assumingMemoryBound(to: EngineLane.self).pointee.takeLevels() }, lane)
      }
    }
    return lane.pointee.engine.bookHash()
  }
}
