// swift-tools-version: 6.2
import PackageDescription

// Our own code compiles without a warning; dependencies are not held to it.
let strict: [SwiftSetting] = [.treatAllWarnings(as: .error)]

let nioCore: Target.Dependency = .product(name: "NIOCore", package: "swift-nio")
let nioPosix: Target.Dependency = .product(name: "NIOPosix", package: "swift-nio")
let grdb: Target.Dependency = .product(name: "GRDB", package: "GRDB.swift")
let log: Target.Dependency = .product(name: "Logging", package: "swift-log")
let heap: Target.Dependency = .product(name: "HeapModule", package: "swift-collections")
let deque: Target.Dependency = .product(name: "DequeModule", package: "swift-collections")
let argumentParser: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")

let package = Package(
  name: "Rialto",
  products: [
    .executable(name: "rialto", targets: ["rialto"]),
    .library(name: "RialtoClient", targets: ["Client"]),
    .library(name: "RialtoEngine", type: .dynamic, targets: ["EngineABI"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-nio", from: "2.101.0"),
    .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
    .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
  ],
  targets: [
    .systemLibrary(name: "COpenSSL", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
    .systemLibrary(name: "CSQLite", pkgConfig: "sqlite3", providers: [.apt(["libsqlite3-dev"])]),
    // Pure: values in, effects out. No clock, thread, socket, file or unordered iteration.
    .target(name: "Primitives", dependencies: ["COpenSSL"], swiftSettings: strict),
    .target(name: "CMemory"),
    .target(name: "OrderBook", dependencies: ["Primitives", "CMemory"], swiftSettings: strict),
    .target(name: "Flow", dependencies: ["Primitives", "OrderBook"], swiftSettings: strict),
    .target(name: "EventLog", dependencies: ["Primitives", "OrderBook"], swiftSettings: strict),
    .target(name: "Membership", dependencies: ["Primitives", "EventLog"], swiftSettings: strict),
    .target(name: "Gossip", dependencies: ["Primitives", "EventLog", "Membership"], swiftSettings: strict),
    .target(
      name: "Replica", dependencies: ["Primitives", "OrderBook", "EventLog", "Membership", "Gossip", deque],
      swiftSettings: strict),
    .target(
      name: "Diagnostics", dependencies: ["Primitives", "OrderBook", "EventLog", "Membership", "Replica"],
      swiftSettings: strict),
    .target(
      name: "Simulator",
      dependencies: ["Primitives", "OrderBook", "EventLog", "Membership", "Gossip", "Replica", "Oracle", heap],
      swiftSettings: strict),
    // Shells: they interpret effects.
    .target(
      name: "Storage", dependencies: ["Primitives", "OrderBook", "EventLog", "CSQLite", grdb], swiftSettings: strict),
    .target(name: "Wire", dependencies: ["Primitives", nioCore], swiftSettings: strict),
    .target(
      name: "Client", dependencies: ["Primitives", "OrderBook", "Wire", nioCore, nioPosix], swiftSettings: strict),
    .target(name: "Transport", dependencies: ["Primitives", "Wire", nioCore, nioPosix], swiftSettings: strict),
    .target(
      name: "Node",
      dependencies: [
        "Replica", "Storage", "Diagnostics", "Forensics", "Transport", "Wire", "Client", nioCore, nioPosix, log,
      ],
      swiftSettings: strict),
    // A node's directory, looked at without its node.
    .target(
      name: "Forensics",
      dependencies: ["Storage", "Diagnostics", "Replica", "EventLog", "OrderBook", "Membership", "Primitives"],
      swiftSettings: strict),
    .executableTarget(
      name: "rialto",
      dependencies: [
        "Node", "Client", "Flow", "Storage", "Diagnostics", "Forensics", "Histories", "Simulator", "EngineBenchmark",
        "PeerSystems", argumentParser, log, nioPosix,
      ],
      swiftSettings: strict),
    // Figures come from here.
    .executableTarget(
      name: "Pipeline", dependencies: ["Replica", "Flow", "OrderBook", "EventLog", "Membership", "Primitives"],
      path: "Benchmarks/Pipeline", swiftSettings: strict),
    .target(
      name: "EngineBenchmark", dependencies: ["CBenchmark", "OrderBook", "Primitives", "ReferenceBook"],
      path: "Benchmarks/Engine", swiftSettings: strict),
    // Directories with long histories in them, for tests and figures.
    .target(
      name: "Histories",
      dependencies: [
        "Forensics", "Diagnostics", "Storage", "Replica", "EventLog", "Membership", "OrderBook", "Primitives",
      ],
      path: "Benchmarks/History", swiftSettings: strict),
    // Other replicated systems, to be measured in the same run.
    .target(name: "PeerSystems", path: "Benchmarks/Peers", swiftSettings: strict),
    .target(name: "CBenchmark", path: "Benchmarks/EngineSupport", cSettings: [.treatAllWarnings(as: .error)]),
    .target(name: "ReferenceBook", path: "Benchmarks/ReferenceBook", cxxSettings: [.treatAllWarnings(as: .error)]),
    // The engine as a shared library for flash1-dev/matching-engine-benchmark.
    .target(
      name: "EngineABI", dependencies: ["CEngineABI", "CMemory", "OrderBook", "Primitives"],
      path: "Benchmarks/EngineABI",
      swiftSettings: strict),
    .target(name: "CEngineABI", path: "Benchmarks/CEngineABI", cSettings: [.treatAllWarnings(as: .error)]),
    .testTarget(name: "PrimitivesTests", dependencies: ["Primitives"], swiftSettings: strict),
    // The rules of the book a second time, plain and slow: tests and simulations hold the engine against it.
    .target(
      name: "Oracle", dependencies: ["OrderBook", "Primitives"], path: "Tests/Oracle", swiftSettings: strict),
    .testTarget(
      name: "OrderBookTests", dependencies: ["OrderBook", "Oracle", "Primitives"], swiftSettings: strict),
    .testTarget(name: "FlowTests", dependencies: ["Flow"], swiftSettings: strict),
    .testTarget(name: "EventLogTests", dependencies: ["EventLog"], swiftSettings: strict),
    .testTarget(
      name: "MembershipTests", dependencies: ["Membership", "EventLog", "Primitives"], swiftSettings: strict),
    .testTarget(name: "ReplicaTests", dependencies: ["Replica"], swiftSettings: strict),
    .testTarget(
      name: "SimulatorTests", dependencies: ["Simulator", "Replica", "Membership", "OrderBook", "Primitives"],
      exclude: ["Scenarios"],
      swiftSettings: strict),
    .testTarget(
      name: "DiagnosticsTests",
      dependencies: [
        "Diagnostics", "Histories", "Storage", "Replica", "EventLog", "OrderBook", "Primitives", "Simulator",
      ],
      swiftSettings: strict),
    .testTarget(
      name: "ForensicsTests",
      dependencies: [
        "Forensics", "Diagnostics", "Histories", "Storage", "Replica", "EventLog", "Membership", "OrderBook",
        "Primitives", "rialto",
      ], swiftSettings: strict),
    .testTarget(name: "StorageTests", dependencies: ["Storage"], swiftSettings: strict),
    .testTarget(name: "ClientTests", dependencies: ["Client"], swiftSettings: strict),
    .testTarget(
      name: "CommandLineTests",
      dependencies: [
        "rialto", "Node", "Client", "Flow", "OrderBook", "Primitives", "EventLog", "Membership", "Gossip", "Wire",
        "Simulator", nioCore,
      ], swiftSettings: strict),
    .testTarget(
      name: "ClusterTests",
      dependencies: [
        "Node", "Client", "Gossip", "EventLog", "Membership", "OrderBook", "Primitives", "Replica", "Storage", "Wire",
        "Transport", "CSQLite", "Forensics", "rialto", nioCore, log,
      ], swiftSettings: strict),
    .testTarget(
      name: "BenchmarkTests",
      dependencies: [
        "Pipeline", "EngineBenchmark", "PeerSystems", "ReferenceBook", "OrderBook", "Primitives", "rialto",
      ],
      swiftSettings: strict),
    .testTarget(name: "TidyTests", swiftSettings: strict),
  ],
  swiftLanguageModes: [.v6]
)
