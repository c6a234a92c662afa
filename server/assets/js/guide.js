// A documentation page; needs no session.

import { followFrame } from './page.js';

followFrame();
