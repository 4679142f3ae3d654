// `report` in Go: see report.c.
package main

import (
	"fmt"
	"io"
	"os"
)

func main() {
	last := os.Args[len(os.Args)-1]
	for number, argument := range os.Args[1:] {
		fmt.Printf("argument %d: %s\n", number+1, argument)
	}
	terminal := "no"
	if about, err := os.Stdin.Stat(); err == nil && about.Mode()&os.ModeCharDevice != 0 {
		terminal = "yes"
	}
	fmt.Println("terminal:", terminal)
	for last == "forever" {
		fmt.Println("more")
	}
	bytes, _ := io.Copy(io.Discard, os.Stdin)
	fmt.Println(bytes, "bytes")
	fmt.Fprintln(os.Stderr, "told apart")
	switch last {
	case "exit":
		os.Exit(42)
	case "return":
		os.Exit(43)
	}
}
