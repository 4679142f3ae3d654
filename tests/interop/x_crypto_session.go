// One session through Go's x/crypto/ssh, behaving as `ssh` does: stdin in, stdout and stderr out, the exit status
// handed on, 255 for a signal, whose name it prints.
package main

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand"
	"net"
	"os"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"
)

// The status that the second session of each crossing ends with.
const status = 7

var (
	port      = flag.Int("port", 0, "")
	user      = flag.String("user", "", "")
	command   = flag.String("exec", "", "")
	password  = flag.String("password", "", "")
	key       = flag.String("key", "", "")
	signal    = flag.String("signal", "", "")
	pty       = flag.Bool("pty", false, "")
	crossings = flag.Bool("crossings", false, "")
)

func given(name string) bool {
	found := false
	flag.Visit(func(one *flag.Flag) { found = found || one.Name == name })
	return found
}

// A connection that has logged in, offering only what the wishes name.
func connect(wishes map[string]string) (*ssh.Client, error) {
	config := &ssh.ClientConfig{User: *user, HostKeyCallback: ssh.InsecureIgnoreHostKey()}
	switch {
	case given("password"):
		config.Auth = []ssh.AuthMethod{ssh.Password(*password)}
	case given("key"):
		text, err := os.ReadFile(*key)
		if err != nil {
			return nil, err
		}
		signer, err := ssh.ParsePrivateKey(text)
		if err != nil {
			return nil, err
		}
		config.Auth = []ssh.AuthMethod{ssh.PublicKeys(signer)}
	}
	for kind, name := range wishes {
		switch kind {
		case "kex":
			config.KeyExchanges = []string{name}
		case "cipher":
			config.Ciphers = []string{name}
		case "mac":
			config.MACs = []string{name}
		case "key":
			config.HostKeyAlgorithms = []string{name}
		case "compression":
			return nil, errors.New("this library does not compress")
		case "rekey":
			config.RekeyThreshold, _ = strconv.ParseUint(name, 10, 64)
		}
	}
	return ssh.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(*port)), config)
}

// The status of a session that has ended.
func ending(err error) (int, error) {
	var exit *ssh.ExitError
	switch {
	case err == nil:
		return 0, nil
	case errors.As(err, &exit) && exit.Signal() != "":
		return 255, fmt.Errorf("signal %s", exit.Signal())
	case errors.As(err, &exit):
		return exit.ExitStatus(), nil
	}
	return 255, err
}

func session() (int, error) {
	client, err := connect(nil)
	if err != nil {
		return 255, err
	}
	one, err := client.NewSession()
	if err != nil {
		return 255, err
	}
	// A pipe: with `one.Stdin` the library would wait for the end of stdin after the end of the session.
	input, err := one.StdinPipe()
	if err != nil {
		return 255, err
	}
	one.Stdout, one.Stderr = os.Stdout, os.Stderr
	if *pty {
		// The size in pixels is not for the caller to choose.
		if err := one.RequestPty("xterm", 24, 80, ssh.TerminalModes{}); err != nil {
			return 255, err
		}
	}
	if given("exec") {
		err = one.Start(*command)
	} else {
		err = one.Shell()
	}
	if err != nil {
		return 255, err
	}
	if given("signal") {
		if err := one.Signal(ssh.Signal(*signal)); err != nil {
			return 255, err
		}
	}
	go func() {
		io.Copy(input, os.Stdin)
		input.Close()
	}()
	return ending(one.Wait())
}

func runCommand(client *ssh.Client, command string, data []byte) ([]byte, int, error) {
	one, err := client.NewSession()
	if err != nil {
		return nil, 0, err
	}
	var echoed bytes.Buffer
	one.Stdin, one.Stdout = bytes.NewReader(data), &echoed
	status, err := ending(one.Run(command))
	return echoed.Bytes(), status, err
}

func cross(wishes map[string]string) error {
	client, err := connect(wishes)
	if err != nil {
		return err
	}
	defer client.Close()
	count, err := strconv.Atoi(wishes["bytes"])
	if err != nil {
		return err
	}
	data := make([]byte, count)
	rand.Read(data[:count/2])
	echoed, first, err := runCommand(client, "cat", data)
	if err != nil {
		return err
	}
	_, second, err := runCommand(client, fmt.Sprint("exit ", status), nil)
	switch {
	case err != nil:
		return err
	case !bytes.Equal(echoed, data):
		return fmt.Errorf("%d bytes were echoed, or others", len(echoed))
	case first != 0 || second != status:
		return fmt.Errorf("the statuses are %d and %d", first, second)
	}
	return nil
}

func crossAll() {
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		wishes := map[string]string{}
		for _, word := range strings.Fields(lines.Text()) {
			kind, name, _ := strings.Cut(word, "=")
			wishes[kind] = name
		}
		if err := cross(wishes); err != nil {
			fmt.Println("failed:", strings.ReplaceAll(err.Error(), "\n", " "))
		} else {
			fmt.Println("ok")
		}
	}
}

func main() {
	flag.Parse()
	if *crossings {
		crossAll()
		return
	}
	status, err := session()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(status)
}
