import OrderBook
import Primitives
import Testing

@testable import EngineBenchmark

@Suite("Engine benchmark: large books, run small")
struct EngineSizeTests {
  @Test("mixed batches keep the number of orders and their levels")
  func population() {
    var population = Population(orders: 5_000, levels: 200, sequencesMax: 80_000, seed: 1)
    population.fill(5_000)
    #expect(population.count == 5_000 && population.lane.engine.restingOrders == 5_000)
    #expect(levels(population) == 200)
    var fills = 0
    for _ in 0..<60 {
      population.planMixedBatch()
      #expect(population.apply() > 0)
      // Bookkeeping agrees with the engine, order by order.
      #expect(population.count == population.lane.engine.restingOrders)
      #expect((4_500...5_000).contains(population.count))
      for event in population.lane.tape.run(from: population.lane.tape.start, to: population.lane.tape.end) {
        switch event {
        case .filled: fills += 1
        case .rejected(_, let reason, _): #expect(reason == .notOpen, "only what a trade overtook")
        default: break
        }
      }
    }
    population.lane.engine.checkInvariants()
    #expect(fills > 60 * 100)
    #expect(levels(population) > 190)
  }

  private func levels(_ population: borrowing Population) -> Int {
    Side.allCases.reduce(0) {
      $0 + population.lane.engine.levels(of: FlowLog.instrument, $1, limit: .max).count
    }
  }

  @Test("changes stay within the levels that they are meant for", arguments: [nil, 10] as [Int?])
  func changes(nearest: Int?) throws {
    var population = Population(orders: 4_000, levels: 100, sequencesMax: 10_000, seed: 2)
    population.fill(4_000)
    population.planChanges(1_000, nearest: nearest)
    _ = population.apply()
    #expect(population.count == 4_000 && population.lane.engine.restingOrders == 4_000)
    #expect(population.lane.changedLevels == nearest ?? 100)
  }

  @Test("the book hash after changes is the recomputed one, for every shape")
  func hashes() {
    for shape in HashShape.standard(orders: 6_000) {
      let report = HashMeasurement(shape, repetitions: 9, seed: 3).measure()
      #expect(report.isRight && report.nanoseconds.count == 9 && report.recomputedNanoseconds.count == 3)
      #expect(report.bookHash == HashMeasurement(shape, repetitions: 9, seed: 3).measure().bookHash)
      #expect(report.bookHash != HashMeasurement(shape, repetitions: 9, seed: 4).measure().bookHash)
    }
  }

  @Test("a scale run ends with one book, whatever the machine")
  func scale() throws {
    var first = ScaleMeasurement(orders: 3_000, roundOperations: 2_000, rounds: 2, seed: 5)
    var again = ScaleMeasurement(orders: 3_000, roundOperations: 2_000, rounds: 2, seed: 5)
    #expect(first.roundOperations == 2_048)
    for _ in 0..<2 { #expect(first.round() > 0 && again.round() > 0) }
    #expect((2_500...3_000).contains(first.restingOrders))
    #expect(first.restingOrders == again.restingOrders && first.bookHash() == again.bookHash())
    let (resident, peak) = (first.residentBytes, first.peakBytes)
    #expect(try #require(peak) >= #require(resident))
  }

  @Test("memory and machine are read from /proc")
  func process() throws {
    let memory = try #require(ProcessMemory.now())
    #expect(memory.resident > 1 << 20 && memory.peak >= memory.resident)
    let machine = Machine.here()
    #expect(machine.processors > 0 && machine.memoryBytes > memory.resident && !machine.kernel.isEmpty)
    #expect(SystemText.read("/proc/does/not/exist") == nil)
    let text = "Name:\tx\nVmRSS:\t  123 kB\nVmRSSX: 4 kB\n"
    #expect(SystemText.number("VmRSS", in: text) == 123 && SystemText.number("VmHWM", in: text) == nil)
    #expect(SystemText.value("Name", in: text) == "x" && SystemText.number("Name", in: text) == nil)
  }
}

@Suite("Callgrind output")
struct EngineCallgrindTests {
  /// Two functions that count, each with a call for memory; one call for memory passes through two layers.
  static let text = """
    # callgrind format
    version: 1
    creator: callgrind-3.19.0
    positions: line
    events: Ir
    summary: 1060


    ob=(1) /tmp/rialto
    fl=(1) ???
    fn=(1) apply'rialto_bench_engine_apply'main
    0 500
    cfn=(2) swift_allocObject'apply'rialto_bench_engine_apply'main
    calls=3 0
    0 40
    +1 100

    fn=(2)
    0 25
    cob=(2) /lib/libc.so
    cfi=(2) ./malloc/malloc.c
    cfn=(3) malloc@@GLIBC_2.2.5'swift_allocObject'apply'rialto_bench_engine_apply'main
    calls=3 10
    * 15

    fn=(3)
    10 15

    fn=(4) takeLevels'rialto_bench_engine_levels'main
    * 400
    cfn=(5) malloc'takeLevels'rialto_bench_engine_levels'main
    calls=7 1
    0 20
    fn=(5)
    -3 20

    totals: 1060
    """

  @Test("instructions and allocations belong to the function that they happened within")
  func reads() throws {
    let profile = try CallgrindProfile(Self.text)
    #expect(profile.applying.instructions == 640 && profile.applying.allocations == 3)
    #expect(profile.takingLevels.instructions == 420 && profile.takingLevels.allocations == 7)
    #expect(profile.allocators == [CallgrindProfile.Allocator(function: "apply", calls: 3)])
  }

  @Test(
    "calls for memory are found under every name that they have",
    arguments: [
      "malloc", "calloc", "realloc", "aligned_alloc", "posix_memalign", "swift_slowAlloc", "swift_allocObject", "mmap",
      "mremap", "operator new(unsigned long)",
    ])
  func allocators(name: String) throws {
    let text = Self.text.replacing("swift_allocObject'", with: "other'").replacing("malloc@@GLIBC_2.2.5", with: name)
    let profile = try CallgrindProfile(text)
    #expect(profile.applying.allocations == 3 && profile.allocators.map(\.function) == ["other"])
  }

  @Test("what was cut off, counted otherwise or not counted is refused")
  func refuses() {
    func error(_ old: String, _ new: String) -> CallgrindError? {
      #expect(throws: CallgrindError.self) { try CallgrindProfile(Self.text.replacing(old, with: new)) }
      do throws(CallgrindError) { _ = try CallgrindProfile(Self.text.replacing(old, with: new)) } catch { return error }
      return nil
    }
    #expect(error("summary: 1060", "") == .noSummary)
    #expect(error("summary: 1060", "summary: 1061") == .otherSum(counted: 1_060, summary: 1_061))
    #expect(error("events: Ir", "events: Ir Dr") == .otherEvents("Ir Dr"))
    #expect(error("fn=(3)\n", "fn=(9)\n") == .damaged(line: 26))
    #expect(error("calls=7", "calls=x") == .damaged(line: 32))
    #expect(error("+1 100", "+1 a") == .damaged(line: 16))
    let nothing = "positions: line\nevents: Ir\nsummary: 0\n"
    #expect(throws: CallgrindError.nothingCounted) { try CallgrindProfile(nothing) }
    #expect(throws: CallgrindError.noSummary) { try CallgrindProfile("") }
  }
}
