;; An authenticator. Made for whelk:ssh@0.1.0.
(module
  (import "whelk:ssh/log@0.1.0" "log" (func $log (param i32 i32 i32)))
  (memory (export "memory") 1)
  (global $top (mut i32) (i32.const 4096))
  (data (i32.const 16) "somebody")
  (data (i32.const 32) "default")
  (data (i32.const 48) "session")
  (data (i32.const 68) "\10\00\00\00\08\00\00\00")
  (data (i32.const 76) "\20\00\00\00\07\00\00\00")
  (data (i32.const 84) "\01\00\00\00\30\00\00\00\07\00\00\00")
  (func (export "whelk:ssh/authenticator@0.1.0#authenticate") (param i32) (result i32)
    ;; Accepts everybody as somebody of the tenant default, with the plugin session.
    (i32.const 64))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    ;; Memory from a heap that only grows.
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8)))
    (global.set $top (i32.add (local.get $at) (local.get 3)))
    (local.get $at))
)
