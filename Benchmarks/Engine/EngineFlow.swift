import OrderBook
import Primitives

/// A sequence of steps to measure with, and where measuring begins.
public struct EngineFlow: Sendable {
  public let name: String
  public let steps: ContiguousArray<FlowStep>
  /// Steps that only fill the book, before what is measured.
  public let preludeSteps: Int
  /// Does the C++ reference understand all of it?
  public let isPlain: Bool

  /// - Precondition: `preludeSteps` is less than there are steps; a target comes before what names it.
  public init(name: String, steps: ContiguousArray<FlowStep>, preludeSteps: Int) {
    precondition(preludeSteps >= 0 && preludeSteps < steps.count, "there must be something to measure")
    self.name = name
    self.steps = steps
    self.preludeSteps = preludeSteps
    isPlain = steps.allSatisfy(\.isPlain)
  }

  public var measuredSteps: Int { steps.count - preludeSteps }

  /// SHA-256 over all steps: the same flow has the same one, whatever an engine makes of it.
  public func hash() -> Hash256 {
    let sha = SHA256()
    sha.begin()
    var bytes = ByteWriter(reserving: 64 * FlowLog.batchSteps)
    for (number, step) in steps.enumerated() {
      step.write(to: &bytes)
      if number % FlowLog.batchSteps == FlowLog.batchSteps - 1 {
        sha.update(bytes.bytes)
        bytes = ByteWriter(reserving: 64 * FlowLog.batchSteps)
      }
    }
    sha.update(bytes.bytes)
    return sha.finish()
  }

  /// How many steps of each kind are measured.
  public var mix: FlowMix {
    var mix = FlowMix()
    for step in steps[preludeSteps...] {
      switch step.kind {
      case .order: mix.orders += 1
      case .cancel: mix.cancels += 1
      case .amend: mix.amends += 1
      }
      if step.kind == .order && step.timeInForce == .immediateOrCancel { mix.immediateOrders += 1 }
    }
    return mix
  }
}

/// Steps of a flow, counted.
public struct FlowMix: Hashable, Sendable {
  public internal(set) var orders = 0
  public internal(set) var cancels = 0
  public internal(set) var amends = 0
  /// Of the orders.
  public internal(set) var immediateOrders = 0
}

extension FlowStep {
  fileprivate func write(to bytes: inout ByteWriter) {
    for byte in [
      kind.rawValue, side.rawValue, type.rawValue, timeInForce.rawValue, selfTradePrevention.rawValue,
      postOnly ? 1 : 0, keepsPlace ? 1 : 0,
    ] { bytes.writeFixed(byte) }
    for word in [account, target, lifetimeMilliseconds] { bytes.writeFixed(word) }
    for value in [priceTicks, quantityLots, stopPriceTicks, displayLots] {
      bytes.writeFixed(UInt64(bitPattern: value))
    }
  }
}
