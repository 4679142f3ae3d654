# frozen_string_literal: true

# One session through Ruby's net-ssh, behaving as `ssh` does: stdin in, stdout and stderr out, the exit status handed
# on, 255 for a signal, whose name it prints.

require 'net/ssh'
require 'optparse'

# The status that the second session of each crossing ends with.
STATUS = 7
OPTIONS = { 'kex' => :kex, 'cipher' => :encryption, 'mac' => :hmac, 'key' => :host_key,
            'compression' => :compression }.freeze

def arguments
  chosen = {}
  parser = OptionParser.new
  options = %w[--port=N --user=NAME --exec=COMMAND --password=TEXT --key=FILE --signal=NAME --pty --crossings]
  options.each { |option| parser.on(option) }
  parser.parse!(into: chosen)
  chosen
end

# A connection that has logged in, offering only what the wishes name.
def connect(chosen, wishes = {})
  methods = if chosen[:password] then ['password']
            elsif chosen[:key] then ['publickey']
            else ['none']
            end
  options = { port: chosen[:port].to_i, config: false, use_agent: false, verify_host_key: :never, non_interactive: true,
              auth_methods: methods, password: chosen[:password], keys: [chosen[:key]].compact, keys_only: true,
              user_known_hosts_file: '/dev/null', global_known_hosts_file: '/dev/null' }
  OPTIONS.each { |kind, option| options[option] = [wishes[kind]] if wishes[kind] }
  options[:rekey_blocks_limit] = wishes['rekey'].to_i / 16 if wishes['rekey']
  Net::SSH.start('127.0.0.1', chosen[:user], options.compact)
end

# What a session has brought.
Ending = Struct.new(:status, :signal)

# Opens a session and asks for what the block asks for, then for a command or a shell.
def open_session(ssh, command, out, err)
  ending = Ending.new
  channel = ssh.open_channel do |opened|
    yield opened
    opened.on_data { |_, data| out.call(data) }
    opened.on_extended_data { |_, _, data| err.call(data) }
    opened.on_request('exit-status') { |_, data| ending.status = data.read_long }
    opened.on_request('exit-signal') { |_, data| ending.signal = data.read_string }
    command ? opened.exec(command) : opened.send_channel_request('shell')
  end
  [channel, ending]
end

# Hands stdin on as it comes, then its end. The connection's own loop waits for it.
def feed(ssh, channel)
  ssh.listen_to($stdin) do
    block = $stdin.readpartial(32_768)
    channel.send_data(block)
  rescue EOFError
    ssh.stop_listening_to($stdin)
    channel.eof!
  end
end

def session(chosen)
  ssh = connect(chosen)
  out = ->(data) { $stdout.write(data) }
  err = ->(data) { $stderr.write(data) }
  channel, ending = open_session(ssh, chosen[:exec], out, err) do |opened|
    opened.request_pty(term: 'xterm', chars_wide: 80, chars_high: 24, pixels_wide: 640, pixels_high: 480) if chosen[:pty]
  end
  channel.on_open_failed { |_, _, text| raise text }
  ssh.loop { channel.local_id && channel.remote_id.nil? } if chosen[:signal]
  channel.send_channel_request('signal', :string, chosen[:signal]) if chosen[:signal]
  feed(ssh, channel)
  ssh.loop { channel.active? }
  return ending.status || 255 unless ending.signal

  warn "signal #{ending.signal}"
  255
end

def run_command(ssh, command, data)
  echoed = +''.b
  channel, ending = open_session(ssh, command, ->(block) { echoed << block }, ->(_) {}) { |_| nil }
  channel.send_data(data)
  channel.eof!
  ssh.loop { channel.active? }
  [echoed, ending.status]
end

def cross(chosen, wishes)
  ssh = connect(chosen, wishes)
  half = wishes['bytes'].to_i / 2
  data = Random.new(1).bytes(half) + "\0".b * (wishes['bytes'].to_i - half)
  echoed, status = run_command(ssh, 'cat', data)
  _, second = run_command(ssh, "exit #{STATUS}", '')
  ssh.close
  raise "#{echoed.bytesize} bytes were echoed, or others" if echoed != data
  raise "the statuses are #{status} and #{second}" if [status, second] != [0, STATUS]
end

def cross_all(chosen)
  $stdin.each_line do |line|
    cross(chosen, line.split.to_h { |word| word.split('=', 2) })
    puts 'ok'
  rescue StandardError => e
    puts "failed: #{e.class}: #{e.message.lines.first.to_s.strip}"
  end
  0
end

[$stdin, $stdout].each(&:binmode)
$stdout.sync = true
chosen = arguments
begin
  status = chosen[:crossings] ? cross_all(chosen) : session(chosen)
rescue StandardError => e
  warn "#{e.class}: #{e.message}"
  status = 255
end
exit!(status)
