import OrderBook
import Primitives
import Testing

@testable import EngineBenchmark

@Suite("Workload files")
struct EngineWorkloadTests {
  struct Record {
    var type: UInt8 = 0
    var side: UInt8 = 0
    var ioc: UInt8 = 0
    var quantity: UInt32 = 10
    var id: UInt64 = 1
    var price: Int64 = 100
    var sequence: UInt64?
  }

  static func file(
    _ records: [Record], magic: UInt64 = 0x4D45_4257_5F30_3031, version: UInt32 = 1, count: UInt32? = nil
  ) -> [UInt8] {
    var bytes = ByteWriter()
    bytes.writeFixed(magic)
    bytes.writeFixed(version)
    bytes.writeFixed(count ?? UInt32(records.count))
    for (number, record) in records.enumerated() {
      for byte in [record.type, record.side, record.ioc, 0] { bytes.writeFixed(byte) }
      bytes.writeFixed(record.quantity)
      bytes.writeFixed(record.sequence ?? UInt64(number))
      bytes.writeFixed(record.id)
      bytes.writeFixed(UInt64(bitPattern: record.price))
      bytes.writeFixed(UInt64(0))
    }
    return bytes.bytes
  }

  @Test("records become steps; an id that comes again names the newer order")
  func reads() throws {
    let flow = try WorkloadFile.flow(
      name: "x",
      Self.file([
        Record(side: 1, id: 7), Record(quantity: 4, id: 8), Record(type: 2, side: 1, quantity: 6, id: 7, price: 101),
        Record(type: 1, side: 1, id: 7), Record(ioc: 1, id: 7), Record(type: 1, id: 7), Record(type: 1, id: 9),
      ]))
    #expect(flow.name == "x" && flow.preludeSteps == 0 && flow.isPlain)
    #expect(flow.steps.map(\.kind) == [.order, .order, .amend, .cancel, .order, .cancel, .cancel])
    #expect(flow.steps[2...].map(\.target) == [0, 0, 0, 4, FlowStep.unknownTarget])
    #expect(flow.steps[4].timeInForce == .immediateOrCancel && flow.steps[0].timeInForce == .goodTillCancel)
    #expect(flow.steps[2].priceTicks == 101 && flow.steps[2].quantityLots == 6 && !flow.steps[2].keepsPlace)
    #expect(flow.steps[0].side == .sell && flow.steps[1].side == .buy && flow.steps[1].quantityLots == 4)
  }

  @Test("what a file leads to is what the reference says; orders that never were are refused")
  func measures() throws {
    // Placed, one partly filled, replaced into a trade, cancelled too late, never placed.
    let flow = try WorkloadFile.flow(
      name: "x",
      Self.file([
        Record(side: 1, id: 1, price: 105), Record(side: 1, id: 2, price: 104), Record(quantity: 4, id: 3, price: 104),
        Record(id: 4), Record(type: 2, quantity: 12, id: 4, price: 105), Record(type: 1, side: 1, id: 2),
        Record(type: 1, id: 99), Record(type: 2, id: 98), Record(quantity: 9, id: 5, price: 90),
      ]))
    let report = FlowMeasurement(flow, repetitions: 1).measure()
    #expect(report.agrees && report.isRepeatable && report.referenceOutcome != nil)
    #expect(report.outcome.fills == 3 && report.outcome.tradedLots == 16 && report.outcome.refused == 3)
    #expect(report.outcome.restingOrders == 2)
    #expect(report.outcome.openSellLots == 4 && report.outcome.openBuyLots == 9)
  }

  @Test("a modify goes last in its queue, even if it only asks for less")
  func modifyLosesItsPlace() throws {
    let flow = try WorkloadFile.flow(
      name: "x",
      Self.file([
        Record(id: 1), Record(quantity: 8, id: 2), Record(type: 2, quantity: 5, id: 1),
        Record(side: 1, ioc: 1, quantity: 8, id: 3),
      ]))
    let report = FlowMeasurement(flow, repetitions: 1).measure()
    #expect(report.agrees && report.outcome.fills == 1 && report.outcome.openBuyLots == 5)
  }

  @Test(
    "what is no workload is refused, with the record and the reason",
    arguments: [
      ([], .noHeader(bytes: 0)),
      (Array(file([Record()]).prefix(15)), .noHeader(bytes: 15)),
      (file([Record()], magic: 1), .otherMagic(1)),
      (file([Record()], version: 2), .otherVersion(2)),
      (file([]), .noRecords),
      (file([Record()], count: 50_000_001), .tooManyRecords(50_000_001)),
      (file([Record()], count: 2), .otherSize(bytes: 56, wanted: 96)),
      (file([Record()]) + [0], .otherSize(bytes: 57, wanted: 56)),
      (file([Record(), Record(type: 3)]), .otherType(3, record: 1)),
      (file([Record(side: 2)]), .otherSide(2, record: 0)),
      (file([Record(ioc: 2)]), .otherIOC(2, record: 0)),
      (file([Record(), Record(type: 2, ioc: 1)]), .otherIOC(1, record: 1)),
      (file([Record(sequence: 1)]), .otherSequence(1, record: 0)),
      (file([Record(quantity: 0)]), .noQuantity(record: 0)),
      (file([Record(), Record(type: 2, quantity: 0)]), .noQuantity(record: 1)),
      (file([Record(price: 0)]), .otherPrice(0, record: 0)),
      (file([Record(price: -1)]), .otherPrice(-1, record: 0)),
      (file([Record(price: 1 << 62 + 1)]), .otherPrice(1 << 62 + 1, record: 0)),
      (file([Record(id: 6), Record(type: 1, side: 1, id: 6)]), .sideChanged(id: 6, record: 1)),
    ] as [([UInt8], WorkloadFileError)])
  func refuses(bytes: [UInt8], error: WorkloadFileError) {
    #expect(throws: error) { try WorkloadFile.flow(name: "x", bytes) }
    #expect(!error.description.isEmpty)
  }

  @Test("limits themselves are within them; a cancel's price and quantity are not read")
  func limits() throws {
    let flow = try WorkloadFile.flow(
      name: "x",
      Self.file([
        Record(quantity: .max, price: 1 << 62), Record(quantity: 1, id: 2, price: 1),
        Record(type: 1, quantity: 0, id: 2, price: -5),
      ]))
    #expect(flow.steps[0].quantityLots == 4_294_967_295 && flow.steps[0].priceTicks == 1 << 62)
  }
}
