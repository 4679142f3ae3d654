;; A connection plugin. Made for whelk:ssh@0.1.0; it imports every function of its world.
(module
  (import "whelk:ssh/connection@0.1.0" "get" (func $connection-get (param i32 i32 i32)))
  (import "whelk:ssh/connection@0.1.0" "facts" (func $facts (param i32)))
  (import "whelk:ssh/connection@0.1.0" "disconnect" (func $disconnect (param i32 i32 i32)))
  (import "whelk:ssh/connection@0.1.0" "debug" (func $connection-debug (param i32 i32 i32)))
  (import "whelk:ssh/connection-control@0.1.0" "open-channel"
    (func $open-channel (param i32 i32 i32 i32 i32 i32 i32)))
  (import "whelk:ssh/connection-control@0.1.0" "global-request"
    (func $send-global-request (param i32 i32 i32 i32 i32)))
  (import "whelk:ssh/log@0.1.0" "log" (func $log (param i32 i32 i32)))
  (memory (export "memory") 1)
  (global $top (mut i32) (i32.const 4096))
  (data (i32.const 16) "refused")
  (data (i32.const 32) "answered")
  (func (export "whelk:ssh/connection-handler@0.1.0#global-request") (param i32 i32 i32 i32) (result i32)
    ;; The answer to every global request: ok, with eight bytes.
    (i32.store8 (i32.const 64) (i32.const 0))
    (i32.store (i32.const 68) (i32.const 32))
    (i32.store (i32.const 72) (i32.const 8))
    (i32.const 64))
  (func (export "whelk:ssh/connection-handler@0.1.0#channel-open") (param i32 i32 i32 i32) (result i32)
    ;; Every channel is refused for lack of resources, with a text.
    (i32.store8 (i32.const 64) (i32.const 1))
    (i32.store (i32.const 68) (i32.const 4))
    (i32.store (i32.const 72) (i32.const 16))
    (i32.store (i32.const 76) (i32.const 7))
    (i32.const 64))
  (func (export "whelk:ssh/connection-handler@0.1.0#closed"))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    ;; Memory from a heap that only grows.
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8)))
    (global.set $top (i32.add (local.get $at) (local.get 3)))
    (local.get $at))
)
