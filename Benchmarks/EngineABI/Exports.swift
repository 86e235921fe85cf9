import CEngineABI
import OrderBook

/// The engine that the harness drives: one at a time, from one thread.
nonisolated(unsafe) private var current: UnsafeMutablePointer<EngineABI>?

private func engine() -> UnsafeMutablePointer<EngineABI> {
  guard let current else { abi_refuse("engine_init comes first") }
  return current
}

@_cdecl("engine_init")
public func engineInit(_ seed: UInt64, _ transport: UnsafeRawPointer?, _ sink: UnsafeMutableRawPointer?) {
  guard let sink, transport == UnsafeRawPointer(abi_transport_of_ring()) else {
    abi_refuse("engine_init: this engine reports into the queue of its own engine_get_transport() only")
  }
  engineShutdown()
  let made = UnsafeMutablePointer<EngineABI>.allocate(capacity: 1)
  made.initialize(to: EngineABI(ring: sink.assumingMemoryBound(to: abi_ring.self)))
  current = made
}

@_cdecl("engine_shutdown")
public func engineShutdown() {
  current?.deinitialize(count: 1)
  current?.deallocate()
  current = nil
}

@_cdecl("engine_get_transport")
public func engineGetTransport() -> UnsafeRawPointer { abi_transport_of_ring() }

@_cdecl("engine_on_new_order")
public func engineOnNewOrder(_ order: UnsafePointer<abi_new_order>) {
  var message = abi_message()
  message.type = 0
  message.order = order.pointee
  engine().pointee.apply(message)
}

@_cdecl("engine_on_cancel")
public func engineOnCancel(_ cancel: UnsafePointer<abi_cancel>) {
  var message = abi_message()
  message.type = 1
  message.cancel = cancel.pointee
  engine().pointee.apply(message)
}

@_cdecl("engine_on_modify")
public func engineOnModify(_ modify: UnsafePointer<abi_modify>) {
  var message = abi_message()
  message.type = 2
  message.modify = modify.pointee
  engine().pointee.apply(message)
}

@_cdecl("engine_on_batch")
public func engineOnBatch(_ messages: UnsafePointer<abi_message>, _ count: UInt32) {
  engine().pointee.apply(messages, Int(count))
}

@_cdecl("engine_flush")
public func engineFlush() {}

@_cdecl("engine_query_best_bid")
public func engineQueryBestBid() -> Int64 { engine().pointee.best(.buy) ?? Int64.min }

@_cdecl("engine_query_best_ask")
public func engineQueryBestAsk() -> Int64 { engine().pointee.best(.sell) ?? Int64.max }

@_cdecl("engine_query_depth_at")
public func engineQueryDepthAt(_ price: Int64, _ side: UInt8) -> UInt64 {
  engine().pointee.depth(price, side == 0 ? .buy : .sell)
}
