// An echo handler: sends back what comes, and ends as a pipe ends.
import { finish, write } from 'whelk:ssh/channel@0.1.0';

// QuickJS has no TextEncoder.
const bytes = (text) => Uint8Array.from(text, (letter) => letter.charCodeAt(0));

export const session = {
  open: () => true,
  env: () => false,
  ptyReq: () => true,
  shell: () => true,
  exec(command) {
    write({ tag: 'stdout' }, bytes('javascript '));
    write({ tag: 'stdout' }, command);
    return true;
  },
  subsystem: () => false,
  windowChange() {},
  signal() {},
  data(data) {
    write({ tag: 'stdout' }, data);
  },
  extendedData() {},
  eof() {
    finish({ tag: 'status', val: 0 });
  },
  close() {},
  closed() {},
};
