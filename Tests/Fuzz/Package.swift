// swift-tools-version: 6.2
import PackageDescription

// The decoders, compiled for libFuzzer. Apart from the package above, because every target here must be instrumented,
// and none there. `Rialto` and the files in `Edge` are links to the sources there; Scripts/fuzz builds and runs this.

let nioCore: Target.Dependency = .product(name: "NIOCore", package: "swift-nio")
let nioPosix: Target.Dependency = .product(name: "NIOPosix", package: "swift-nio")

// Coverage of every edge and comparison is what libFuzzer steers by; checks look at what is internal as well.
let instrumented: [SwiftSetting] = [.unsafeFlags(["-sanitize=fuzzer", "-enable-testing"])]

func decoder(_ name: String, _ dependencies: [Target.Dependency], path: String? = nil) -> Target {
  .target(name: name, dependencies: dependencies, path: path ?? "Rialto/\(name)", swiftSettings: instrumented)
}

let package = Package(
  name: "Fuzz",
  dependencies: [.package(url: "https://github.com/apple/swift-nio", from: "2.101.0")],
  targets: [
    .systemLibrary(
      name: "COpenSSL", path: "Rialto/COpenSSL", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
    .target(name: "CMemory", path: "Rialto/CMemory"),
    decoder("Primitives", ["COpenSSL"]),
    decoder("OrderBook", ["Primitives", "CMemory"]),
    decoder("Flow", ["Primitives", "OrderBook"]),
    decoder("EventLog", ["Primitives", "OrderBook"]),
    decoder("Membership", ["Primitives", "EventLog"]),
    decoder("Gossip", ["Primitives", "EventLog", "Membership"]),
    decoder("Wire", ["Primitives", nioCore]),
    decoder("Client", ["Primitives", "OrderBook", "Wire", nioCore, nioPosix]),
    // Of these three only the files that read what comes from outside.
    decoder("rialto", ["OrderBook"], path: "Edge/rialto"),
    decoder("Node", ["Primitives", "EventLog", "Membership"], path: "Edge/Node"),
    decoder("Diagnostics", ["Primitives", "OrderBook", "EventLog"], path: "Edge/Diagnostics"),
    .target(
      name: "FuzzChecks",
      dependencies: [
        "Primitives", "OrderBook", "Flow", "EventLog", "Membership", "Gossip", "Wire", "Client", "rialto", "Node",
        "Diagnostics", nioCore,
      ],
      path: "Checks", swiftSettings: [.treatAllWarnings(as: .error), .unsafeFlags(["-enable-testing"])]),
    .target(name: "CAllocations", path: "Allocations"),
    .executableTarget(
      name: "fuzz",
      dependencies: [
        "FuzzChecks", "CAllocations", "Primitives", "OrderBook", "EventLog", "Membership", "Gossip", "Wire", "Client",
        "Diagnostics",
      ], path: "Main", swiftSettings: [.unsafeFlags(["-parse-as-library"])],
      linkerSettings: [.linkedLibrary("stdc++")]),
  ],
  swiftLanguageModes: [.v6]
)
