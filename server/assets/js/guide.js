// A guide: text that needs no session.

import { followFrame } from './page.js';

followFrame();
